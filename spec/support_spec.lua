-- The support for the other specs: processes, the server under test, the loop. Its HTTP, its event-stream
-- clients and its proxy have their specs beside them, in spec/support.

local uv = require "luv"
local curl = require "spec.support.curl"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

--- Whether the process runs; one that nobody has buried yet does not.
local function alive(pid)
  local status = files.read(("/proc/%d/status"):format(pid))
  return status ~= nil and not status:find "\nState:%s+[ZX]"
end

local function message_of(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return message
end

describe("the loop", function()
  it("waits until something holds, and gives it", function()
    local value
    loop.after(0.005, function()
      value = "here"
    end)
    assert.equal("here", loop.wait_until(function()
      return value
    end))
  end)

  it("says what it waited for, and where", function()
    local message = message_of(loop.wait_until, function()
      return false
    end, 0.01, "the moon")
    assert.matches("^%S*support_spec.lua:%d+: waited [%d.]+ s for the moon", message)
  end)

  it("raises what a callback raised", function()
    loop.after(0.001, function()
      error "from a callback"
    end)
    assert.matches("from a callback", message_of(loop.wait_until, function()
      return false
    end))
  end)

  it("refuses to wait inside a callback", function()
    loop.after(0.001, function()
      loop.wait_until(function()
        return false
      end)
    end)
    assert.matches("a callback waited", message_of(loop.wait_until, function()
      return false
    end))
  end)

  it("notices what should not have happened", function()
    local happened = false
    loop.after(0.005, function()
      happened = true
    end)
    assert.matches("nothing", message_of(loop.holds, function()
      return not happened
    end, 1, "nothing"))
  end)
end)

describe("a process", function()
  after_each(server.stop_all)

  it("runs to its end with input, output and status", function()
    local result = process.run({ "sh", "-c", "cat; echo error >&2; exit 3" }, { stdin = "one\ntwo" })
    assert.same({ status = 3, signal = 0, stdout = "one\ntwo\n", stderr = "error\n" }, result)
  end)

  it("has its environment and its directory", function()
    local directory = files.directory()
    local result = process.run({ "sh", "-c", "echo $SPEC; pwd; echo ${HOME-none}" }, {
      env = { SPEC = "yes", HOME = false },
      cwd = directory,
    })
    assert.equal("yes\n" .. directory .. "\nnone\n", result.stdout)
  end)

  it("is fed as it runs, and waited for line by line", function()
    local cat = process.spawn({ "cat" }, { stdin = true })
    cat:write "first\nsecond 2\n"
    assert.equal("2", (cat:wait_line("stdout", "second (%d)")))
    cat:write "third\n"
    assert.same({ "third", 3 }, { cat:wait_line("stdout", "^t.*", nil, 3) })
    cat:close_input()
    assert.same({ 0, 0 }, { cat:wait_exit() })
  end)

  it("is killed by the clean-up", function()
    local sleeper = process.spawn { "sleep", "60" }
    assert.is_true(alive(sleeper.pid))
    server.stop_all()
    assert.is_false(alive(sleeper.pid))
  end)

  it("ends with the specs' process, however that ends", function()
    local code = [[
      local process = require "spec.support.process"
      local sleeper = process.spawn { "sh", "-c", "echo started; exec sleep 60" }
      sleeper:wait_line("stdout", "started")
      print(sleeper.pid)
      io.stdout:flush()
      require("luv").kill(require("luv").getpid(), "sigkill")
    ]]
    local result = process.run { "lua5.4", "-e", code }
    assert.equal(9, result.signal)
    local pid = tonumber(result.stdout)
    loop.wait_until(function()
      return not alive(pid)
    end, nil, "the kernel to kill it")
  end)

  it("fails a wait as soon as it ends without the line", function()
    local message = message_of(function()
      process.spawn({ "sh", "-c", "echo reason >&2; exit 4" }):wait_line("stdout", "ready")
    end)
    assert.matches('no a line like "ready" on stdout of sh %(it ended: status 4, signal 0%)', message)
    assert.matches("reason", message)
  end)
end)

describe("the server", function()
  local real_binary = server.binary

  setup(function()
    server.binary = "spec/support/toy_router.lua"
  end)

  teardown(function()
    server.binary = real_binary
  end)

  after_each(function()
    server.stop_all()
  end)

  it("starts with a script, answers, and ends well", function()
    local router = server.start("log:write('hello from ', args[#args], '\\n')", { threads = 2, args = { "--x" } })
    assert.matches("^http://127.0.0.1:%d+$", router.url)
    assert.same({ router.url .. "/" }, router.addresses)
    assert.equal("hi", http.get(router.port, "/").body)
    assert.equal(router.script, router:wait_log "hello from (.*)")
    assert.is_true(router:running())
    router:stop()
    assert.matches("ending\n$", router:log())
    assert.is_false(router:running())
  end)

  it("passes the command line on", function()
    local router = server.start([[log:write(table.concat(args, " "), "\n")]], {
      listen = { "127.0.0.1:0", "unix:/tmp/some socket" },
      threads = 0,
      args = { "--log-level", "debug" },
    })
    local for_all = os.getenv "SSE_ROUTER_ARGS"
    assert.equal(
      (for_all and for_all .. " " or "")
        .. "--budget 60s --listen 127.0.0.1:0 --listen unix:/tmp/some socket --threads 0 --log-level debug "
        .. router.script .. "\n",
      router:log()
    )
    assert.equal("unix:/tmp/some socket", router.addresses[2])
  end)

  it("starts from a path, from standard input and from the command line", function()
    local directory = files.directory { ["feed.lua"] = "log:write 'from a file\\n'", ["page.html"] = "x" }
    assert.equal("x", files.read(directory .. "/page.html"))
    server.start_file(directory .. "/feed.lua"):wait_log "from a file"
    server.start_file("-", { stdin = "log:write 'from stdin\\n'" }):wait_log "from stdin"
    server.start(nil, { args = { "-e", "log:write 'from -e\\n'" } }):wait_log "from %-e"
  end)

  it("runs to the end", function()
    local result = server.run({ "-" }, { stdin = "print 'checked' os.exit(1)" })
    assert.same({ 1, "checked\n", "" }, { result.status, result.stdout, result.stderr })
  end)

  it("tells why a server did not get ready", function()
    local message = message_of(server.start, "error 'no such channel'")
    assert.matches("support_spec.lua:%d+: there was no a line like", message)
    assert.matches("script:1: no such channel", message)
  end)

  it("raises when a server ends badly", function()
    assert.matches("status 1, signal 0", message_of(function()
      server.start("function ending() return 1 end"):stop()
    end))
    server.start "function ending() return 2 end"
    assert.matches("status 2, signal 0", message_of(server.stop_all))
    local router = server.start("")
    uv.kill(router.pid, "sigkill")
    assert.matches("signal 9", message_of(server.stop_all))
  end)

  it("raises on a sanitizer's report", function()
    for _, report in ipairs {
      "==1==ERROR: AddressSanitizer: heap-use-after-free",
      "a.c:1:2: runtime error: shift",
      "WARNING: ThreadSanitizer: data race",
      "==1==ERROR: LeakSanitizer: detected memory leaks",
    } do
      local router = server.start(("log:write(%q, '\\n')"):format(report))
      router:kill "sigkill"
      local message = message_of(router.wait_exit, router)
      assert(message:find(report, 1, true), message)
    end
  end)

  it("may be killed", function()
    local router = server.start ""
    router:kill()
    assert.same({ 0, 9 }, { router:wait_exit() })
    server.start(""):kill "sigkill"
    server.stop_all()
  end)

  it("kills a server that does not end in time", function()
    local router = server.start "function ending() while true do end end"
    assert.matches("for the end of sse%-router", message_of(router.stop, router, 0.1))
    assert.is_false(alive(router.pid))
  end)

  it("measures descriptors and memory", function()
    local router = server.start ""
    local before = router:descriptors()
    local connections = {}
    for number = 1, 10 do
      connections[number] = http.connect(router.port)
      connections[number]:request("GET", "/")
      connections[number]:receive_response()
    end
    assert.equal(before + 10, router:descriptors())
    local memory = router:memory()
    assert.is_true(memory.resident >= memory.proportional)
    assert.is_true(memory.proportional > 100000)
    for _, connection in ipairs(connections) do
      connection:close()
    end
    loop.wait_until(function()
      return router:descriptors() == before
    end, nil, "the descriptors to go")
  end)

  it("runs under a wrapper, with a replaced script", function()
    local router = server.start("", { wrapper = { "prlimit", "--nofile=50:50" } })
    assert.matches("Max open files%s+50 ", files.read(("/proc/%d/limits"):format(router.pid)))
    router:rewrite "-- other"
    assert.equal("-- other", files.read(router.script))
  end)
end)

describe("curl", function()
  after_each(server.stop_all)

  it("shows a stream as it comes", function()
    local toy = toy_server.start(function(connection)
      connection:open_stream()
      connection:chunk "data: a\n\n"
    end)
    local watcher = curl.start { ("http://127.0.0.1:%d/"):format(toy.port) }
    assert.equal("a", (watcher:wait_line("stdout", "^data: (.*)")))
    toy.connections[1]:write "0\r\n\r\n"
    assert.equal(0, (watcher:wait_exit()))
  end)

  it("gives status and body", function()
    local toy = toy_server.start(function(connection)
      connection:respond("200 OK", "hello\n")
    end)
    local result = curl.run { "-i", ("http://127.0.0.1:%d/"):format(toy.port) }
    assert.equal(0, result.status)
    assert.matches("^HTTP/1.1 200 OK\r\n.*\r\n\r\nhello\n$", result.stdout)
  end)
end)
