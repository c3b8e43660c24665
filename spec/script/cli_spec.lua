-- The program as its users start it: options, exit statuses, ready lines.

local uv = require "luv"
local files = require "spec.support.files"
local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

local hello = 'local sse = require "sse" sse.get("/", function() return "hello" end)'

local function run(...)
  return server.run { ... }
end

--- Expects exit status 2, and one line about the mistake.
local function expect_usage_error(result, message)
  assert.equal(2, result.status, result.stderr)
  assert.equal("", result.stdout)
  assert.matches(message, result.stderr)
  assert.matches("Try 'sse%-router %-%-help'", result.stderr)
end

describe("the program's information", function()
  it("has --help on standard output", function()
    local result = run "--help"
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    for _, option in ipairs {
      "--listen", "--threads", "--check", "--log-level", "--scripts", "--version", "--help", "--budget", "--memory",
      "--max-body", "--repl",
    } do
      assert.truthy(result.stdout:find(option, 1, true), option)
    end
    assert.equal(result.stdout, run("-h").stdout)
  end)

  it("has lines that fit a terminal", function()
    for line in run("--help").stdout:gmatch "[^\n]+" do
      assert.is_true(#line <= 100, line)
    end
  end)

  it("has --version", function()
    local result = run "--version"
    assert.equal(0, result.status)
    assert.matches("^sse%-router %d+%.%d+%.%d+\n$", result.stdout)
  end)
end)

describe("a mistake on the command line", function()
  it("is an unknown option", function()
    expect_usage_error(run("--lissten", ":0", "x.lua"), "lissten")
    expect_usage_error(run("-x", "x.lua"), "x")
  end)

  it("is a missing script, or one too many", function()
    expect_usage_error(run(), "a script is missing")
    expect_usage_error(run("a.lua", "b.lua"), "one argument too many: 'b.lua'")
    expect_usage_error(run("-e", "", "b.lua"), "one argument too many: 'b.lua'")
  end)

  it("is an option without its value", function()
    expect_usage_error(run "--listen", "listen")
    expect_usage_error(run "-e", "e")
  end)

  it("is a value that the option cannot take", function()
    for option, values in pairs {
      ["--threads"] = { "", "x", "-1", "1.5", "65", "0x2" },
      ["--log-level"] = { "", "loud" },
      ["--budget"] = { "", "x", "-1s", "1 s", "1x", "nan", "inf", "0x10", "1e3" },
      ["--memory"] = { "", "x", "-1", "12q", "nan", "inf", "1e30" },
      ["--max-connections"] = { "", "-1", "1.5", "1k", "5000000000" },
    } do
      for _, value in ipairs(values) do
        local result = run(option, value, "x.lua")
        expect_usage_error(result, option:gsub("%-", "%%-"))
        assert.truthy(result.stderr:find(("'%s'"):format(value), 1, true), result.stderr)
      end
    end
  end)
end)

describe("values of options", function()
  it("have units", function()
    for option, values in pairs {
      ["--budget"] = { "0", "1", "250ms", "1.5s", "2m", "1h", "1d" },
      ["--memory"] = { "0", "33554432", "64k", "64K", "64m", "64M", "1.5M", "8G", "1g" },
      ["--max-logs"] = { "16G" },
      ["--threads"] = { "0", "1", "64" },
    } do
      for _, value in ipairs(values) do
        local args = { option, value, "--check", "-e", "" }
        -- Lua itself needs more than 64k: then the script fails, which is not what this is about.
        assert.not_equal(2, server.run(args).status, option .. " " .. value)
      end
    end
  end)

  it("may follow an equals sign", function()
    assert.equal(0, run("--threads=1", "--check", "-e", "").status)
  end)
end)

describe("--check", function()
  it("prints routes, channels and timers, and does not listen", function()
    local directory = files.directory { ["feed.lua"] = [[
local sse = require "sse"
sse.channel("news", { history = 5 })
sse.get("/news", sse.channel "news")
sse.post("/news/:id", function() end)
sse.every("2s", function() end)
sse.after(1, function() end)
sse.listen "127.0.0.1:1"
]] }
    local result = run("--check", directory .. "/feed.lua")
    assert.equal(0, result.status, result.stderr)
    assert.equal("", result.stderr)
    assert.matches("GET +/news +%S*feed.lua:3\n", result.stdout)
    assert.matches("POST +/news/:id +%S*feed.lua:4\n", result.stdout)
    assert.matches("\n  news\n", result.stdout)
    assert.matches("sse.every +2s +%S*feed.lua:5\n", result.stdout)
    assert.matches("sse.after +1 +%S*feed.lua:6\n", result.stdout)
    assert.not_matches("listening", result.stdout)
  end)

  it("changes nothing outside: it starts no programs and records no events", function()
    local directory = files.directory { ["feed.lua"] = [[
local sse = require "sse"
local news = sse.channel "news"
sse.record(news, "news.jsonl")
sse.exec({ "touch", "started" }, { channel = news })
sse.publish("news", "one")
]], ["news.jsonl"] = "before\n" }
    local result = run("--check", directory .. "/feed.lua")
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.equal("before\n", files.read(directory .. "/news.jsonl"))
    assert.is_nil(files.read(directory .. "/started"))
  end)

  it("says so when there is nothing", function()
    local result = run("--check", "-e", "")
    assert.equal(0, result.status)
    assert.not_equal("", result.stdout)
  end)

  it("tells the place of an error", function()
    local directory = files.directory {
      ["syntax.lua"] = "local sse = require 'sse'\nsse.get('/',, f)\n",
      ["raises.lua"] = "local sse = require 'sse'\n\nsse.get '/'\n",
    }
    local syntax = run("--check", directory .. "/syntax.lua")
    assert.equal(1, syntax.status)
    assert.matches("syntax.lua:2: unexpected symbol near ','", syntax.stderr)
    local raises = run("--check", directory .. "/raises.lua")
    assert.equal(1, raises.status)
    assert.matches("raises.lua:3: sse.get: a handler is missing", raises.stderr)
    assert.equal("", syntax.stdout .. raises.stdout)
  end)
end)

describe("a script", function()
  it("comes from a file", function()
    local router = server.start(hello)
    assert.equal("hello", http.get(router.port, "/").body)
  end)

  it("comes from standard input", function()
    local router = server.start_file("-", { stdin = hello })
    assert.equal("hello", http.get(router.port, "/").body)
    local result = server.run({ "--check", "-" }, { stdin = "\nerror 'no'" })
    assert.equal(1, result.status)
    assert.matches("stdin:2: no", result.stderr)
  end)

  it("comes from the command line", function()
    local router = server.start(nil, { args = { "-e", hello } })
    assert.equal("hello", http.get(router.port, "/").body)
    local result = run("-e", "x(")
    assert.equal(1, result.status)
    assert.matches("%(command line%):1: unexpected symbol", result.stderr)
  end)

  it("that fails ends the program with status 1", function()
    local result = run("-e", "local function f() error 'broken' end\nf()")
    assert.equal(1, result.status)
    assert.equal("", result.stdout)
    assert.matches("%(command line%):1: broken", result.stderr)
    assert.matches("stack traceback", result.stderr)
    assert.matches("%(command line%):2", result.stderr)
  end)

  it("that is not there ends the program with status 1", function()
    local result = run "/nowhere/feed.lua"
    assert.equal(1, result.status)
    assert.matches("/nowhere/feed.lua: No such file or directory", result.stderr)
  end)

  it("that is no text of Lua is refused", function()
    local directory = files.directory { ["binary.lua"] = string.dump(function() end) }
    local result = run(directory .. "/binary.lua")
    assert.equal(1, result.status)
    assert.matches("binary chunk", result.stderr)
  end)

  it("may require modules beside it, and in a folder with init.lua", function()
    local router = server.start('local sse = require "sse" local greet = require "greet"\n'
      .. 'sse.get("/", function() return greet "you" end)', {
      files = { ["greet.lua"] = 'return function(name) return "hello " .. name end' },
    })
    assert.equal("hello you", http.get(router.port, "/").body)
  end)

  it("cannot lose the library to a file of the same name", function()
    local router = server.start(hello, { files = { ["sse.lua"] = "error 'wrong'" } })
    assert.equal("hello", http.get(router.port, "/").body)
  end)

  it("hears of a module that is missing", function()
    local result = run("-e", "require 'nowhere'")
    assert.equal(1, result.status)
    assert.matches("module 'nowhere' not found", result.stderr)
    result = run("-e", "require 'sse.nowhere'")
    assert.equal(1, result.status)
    assert.matches("no file 'nowhere.lua' in the router's library", result.stderr)
  end)

  it("may print, at once and before the ready lines", function()
    local router = server.start 'print "loading" local sse = require "sse" sse.get("/", function() print "asked" end)'
    assert.matches("^loading\nsse%-router: listening on", router:output())
    http.get(router.port, "/")
    router.process:wait_line("stdout", "^asked$")
  end)
end)

describe("--scripts", function()
  it("takes the library's files from a folder, and the others from the binary", function()
    local directory = files.directory { ["system.lua"] = "return { read = function() return 'mine' end }" }
    local router = server.start('local sse = require "sse" sse.get("/", function() return sse.system() end)',
      { args = { "--scripts", directory } })
    assert.equal("mine", http.get(router.port, "/").body)
  end)

  it("must name a folder that is there", function()
    expect_usage_error(run("--scripts", "/nowhere", "-e", ""), "/nowhere")
  end)
end)

describe("listening", function()
  it("is where the script says", function()
    local router = server.start('local sse = require "sse" sse.listen "127.0.0.1:0"\nsse.listen "[::1]:0"', {
      listen = false, ready = 2,
    })
    assert.matches("^http://127%.0%.0%.1:%d+/$", router.addresses[1])
    assert.matches("^http://%[::1%]:%d+/$", router.addresses[2])
    for _, address in ipairs(router.addresses) do
      assert.equal(404, http.get(address, "/").status)
    end
  end)

  it("is where --listen says instead, as often as it is given", function()
    local directory = files.directory()
    local path = directory .. "/socket"
    local router = server.start(hello .. ' sse.listen "127.0.0.1:1"', {
      listen = { "127.0.0.1:0", ":0", "[::1]:0", "unix:" .. path },
    })
    assert.equal(4, #router.addresses)
    assert.matches("^http://127%.0%.0%.1:%d+/$", router.addresses[1])
    assert.matches("^http://0%.0%.0%.0:%d+/$", router.addresses[2])
    assert.matches("^http://%[::1%]:%d+/$", router.addresses[3])
    assert.equal("unix:" .. path, router.addresses[4])
    for _, address in ipairs(router.addresses) do
      assert.equal("hello", http.get(address, "/").body)
    end
    router:stop()
    assert.is_nil(uv.fs_stat(path))
  end)

  it("prints nothing but the ready lines on standard output", function()
    local router = server.start(hello)
    http.get(router.port, "/")
    router:stop()
    assert.equal(("sse-router: listening on %s/\n"):format(router.url), router:output())
  end)

  it("on a port that is in use ends the program with status 3 and says so", function()
    local first = server.start(hello)
    local address = "127.0.0.1:" .. first.port
    local result = run("--listen", address, "-e", hello)
    assert.equal(3, result.status)
    assert.equal("", result.stdout)
    assert.matches("cannot listen on " .. address:gsub("%.", "%%.") .. ": Address already in use", result.stderr)
    result = run("-e", ('\nrequire "sse".listen %q'):format(address))
    assert.equal(3, result.status)
    assert.matches("%(command line%):2: cannot listen on", result.stderr)
    assert.equal("hello", http.get(first.port, "/").body)
  end)

  it("on what is no address ends the program with status 3 and names it", function()
    for _, address in ipairs { "nonsense", "127.0.0.1:99999", "127.0.0.1:x", "[::1:0", "unix:" } do
      local result = run("--listen", address, "-e", hello)
      assert.equal(3, result.status, address)
      assert.truthy(result.stderr:find(address, 1, true), result.stderr)
    end
  end)

  it("on a host that nobody knows ends the program with status 3", function()
    local result = run("--listen", "nowhere.invalid:0", "-e", hello)
    assert.equal(3, result.status)
    assert.matches("nowhere.invalid", result.stderr)
  end)
end)

describe("--threads", function()
  for _, threads in ipairs { 0, 1, 4 } do
    it("may be " .. threads, function()
      local router = server.start([[
local sse = require "sse"
local news = sse.channel "news"
sse.get("/news", news)
sse.post("/news", function(req) news:publish(req.body) return 204 end)
]], { threads = threads })
      local sources = {}
      for index = 1, 6 do
        sources[index] = require "spec.support.eventsource".open(router.port, "/news"):wait_open()
      end
      assert.equal(204, http.post(router.port, "/news", "hello").status)
      for _, source in ipairs(sources) do
        assert.equal("hello", source:next().data)
      end
    end)
  end
end)

describe("--log-level", function()
  local chatty = [[
local sse = require "sse"
sse.log.debug "a debug line"
sse.log.info("an info line", 1, { a = 1 }, nil, true)
sse.log.warn "a warning"
sse.log.error "an error"
]]

  it("lets lines of that level and above through", function()
    local expected = { debug = 4, info = 3, warn = 2, error = 1, quiet = 0 }
    for level, count in pairs(expected) do
      local result = run("--check", "--log-level", level, "-e", chatty)
      local lines = select(2, result.stderr:gsub("\n", ""))
      assert.equal(count, lines, level .. ": " .. result.stderr)
    end
  end)

  it("is info by default, and lines have a time, a level and a text", function()
    local result = run("--check", "-e", chatty)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ info  an info line 1 {\"a\":1} nil true\n",
      result.stderr)
    assert.not_matches("debug line", result.stderr)
  end)
end)

describe("the end", function()
  for _, signal in ipairs { "sigterm", "sigint" } do
    it("comes with " .. signal .. " and status 0", function()
      local router = server.start(hello)
      router:kill(signal)
      local status, number = router:wait_exit()
      assert.same({ 0, 0 }, { status, number })
    end)
  end

  it("loses no response that is under way", function()
    local router = server.start [[
local sse = require "sse"
sse.get("/", function() sse.log.info "begun" sse.sleep "200ms" return "done" end)
]]
    local connection = http.connect(router.port)
    connection:request("GET", "/")
    router:wait_log "begun"
    router:kill "sigterm"
    assert.equal("done", connection:receive_response().body)
    assert.equal(0, (router:wait_exit()))
  end)

  it("does not wait longer than --grace for a handler", function()
    local router = server.start([[
local sse = require "sse"
sse.get("/", function() local _ <close> = sse.defer(function() sse.log.info "closed" end)
  sse.log.info "begun" sse.sleep "1h" end)
]], { args = { "--grace", "100ms" } })
    local connection = http.connect(router.port)
    connection:request("GET", "/")
    router:wait_log "begun"
    router:kill "sigterm"
    assert.equal(0, (router:wait_exit()))
    router:wait_log "closed"
  end)
end)
