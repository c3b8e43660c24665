-- sse.exec: a program's output becomes events.

local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.sources.support"

local start, listen, take = support.start, support.listen, support.take

describe("the lines of a program", function()
  after_each(server.stop_all)

  it("become events, in order, also when they come fast", function()
    local router = start [[ sse.exec({ "seq", "1000" }, { channel = out, restart = false }) ]]
    assert.same(support.numbers(1, 1000), take(listen(router), 1000))
  end)

  it("are all there after its end, the last one without a line end too", function()
    local router = start [[
      sse.exec({ "sh", "-c", "seq 1 30000; printf last" }, {
        channel = "out", restart = false,
        parse = function(line)
          if line == "1" then sse.sleep(0.2) end
          if not tonumber(line) or tonumber(line) % 1000 == 0 then return line end
        end,
      })
    ]]
    local data = take(listen(router), 31)
    assert.equal("30000", data[30])
    assert.equal("last", data[31])
  end)

  it("are read to the end although a process that went away holds the pipe open", function()
    local router = start [[
      sse.exec("setsid sleep 30 & echo $!; echo two", { shell = true, channel = out, restart = false })
    ]]
    local data = take(listen(router), 2)
    assert.equal("two", data[2])
    router:wait_log "exec setsid: ended after"
    require("luv").kill(tonumber(data[1]), "sigkill")
  end)

  it("may end in CRLF, be empty, or be no UTF-8", function()
    local router = start [[
      sse.exec({ "printf", "one\\r\\n\\n\\ntw\\377o\\n\\303\\244\\n" },
        { channel = out, restart = false, event = "x" })
    ]]
    local events = listen(router):take(3)
    assert.same({ "one", "tw\u{FFFD}o", "\u{e4}" }, { events[1].data, events[2].data, events[3].data })
    assert.equal("x", events[1].event)
  end)

  it("may be JSON, which filters and keys can look into", function()
    local router = start [[
      local prices = sse.channel("prices", { key = "symbol" })
      sse.get("/prices", prices)
      local lines = {
        '{"symbol":"A","price":1}', "nonsense", "", '{"symbol":"B","price":2}', '{"symbol":"A","price":3}',
      }
      sse.exec({ "printf", "%s\\n", table.unpack(lines) },
        { channel = prices, parse = "json", restart = false })
      sse.pipe("prices", "out", function(event) return { data = event.data.symbol .. event.data.price } end)
    ]]
    assert.same({ "A1", "B2", "A3" }, take(listen(router), 3))
    router:wait_log "error exec printf: no JSON: .*nonsense"
  end)

  it("may be an event stream", function()
    local text = [[: hello\n\nid: 7\nevent: tick\nretry: 1500\ndata: a\ndata: b\n\n]]
      .. [[event: none\n\ndata\n\ndata:c\n\ndata: cut off\n]]
    local router = start(([[
      sse.exec({ "printf", '%s' }, { channel = out, parse = "sse", restart = false, event = "other" })
    ]]):format(text:gsub("\\", "\\\\")))
    local listener = listen(router)
    assert.same({ event = "tick", data = "a\nb", id = "7" }, listener:next())
    for _, data in ipairs { "", "c" } do
      local event = listener:next()
      assert.same({ "other", data }, { event.event, event.data })
    end
    assert.same({ 1500 }, listener.retries)
  end)

  it("may go through a function, which may drop them, wait and fail", function()
    local router = start [[
      sse.exec({ "seq", "6" }, {
        channel = out, restart = false, event = "n",
        parse = function(line)
          local number = tonumber(line)
          if number == 2 then return nil end
          if number == 3 then sse.sleep(0.05) end
          if number == 4 then error("four!") end
          if number == 5 then return { event = "five", data = { n = number } } end
          return line
        end,
      })
      sse.on("error", function(text) out:publish { event = "failed", data = text } end)
    ]]
    local events = listen(router):take(5)
    assert.same({ "n", "1" }, { events[1].event, events[1].data })
    assert.same({ "n", "3" }, { events[2].event, events[2].data })
    assert.equal("failed", events[3].event)
    assert.matches("exec seq: .*script.lua:12: four!", events[3].data)
    assert.matches("traceback", events[3].data)
    assert.same({ "five", '{"n":5}' }, { events[4].event, events[4].data })
    assert.equal("6", events[5].data)
    router:wait_log "error exec seq: .*four!"
  end)

  it("are not lost for a function that takes too long for one of them", function()
    local router = start([[
      sse.exec({ "seq", "5" }, { channel = out, restart = false, parse = function(line)
        while line == "3" do pcall(error) end
        return line
      end })
    ]], { args = { "--budget", "200ms" } })
    assert.same({ "1", "2", "4", "5" }, take(listen(router), 4))
    router:wait_log "exec seq: .*time budget"
  end)

  it("that cannot be used are told of ten times in a row, then once a minute", function()
    local router = start [[
      sse.exec({ "sh", "-c", "seq 1 50; echo {}; echo x" }, { channel = out, restart = false, parse = function(line)
        if tonumber(line) then error("bad") end
        if line == "x" then error("once more") end
        return line
      end })
    ]]
    assert.same({ "{}" }, take(listen(router), 1))
    router:wait_log "exec sh: ten failures in a row"
    router:wait_log "once more"
    local _, count = router:log():gsub("error exec sh: [^\n]*bad", "")
    assert.equal(10, count)
  end)

  it("longer than 1 MiB are left out and told of, and do not hold the program up", function()
    local router = start [[
      local command = "echo one; head -c 3000000 /dev/zero | tr '\\0' x; echo; "
        .. "echo two; head -c 1048576 /dev/zero | tr '\\0' y; echo"
      sse.exec(command, { shell = true, channel = out, restart = false })
    ]]
    local data = take(listen(router), 3)
    assert.same({ "one", "two", ("y"):rep(1 << 20) }, data)
    router:wait_log "error exec echo: a line of more than 1 MiB was left out"
  end)

  it("wait in the pipe while their events are slow", function()
    local router = start([[
      sse.exec("i=0; while :; do i=$((i+1)); printf '%01000d\\n' $i; echo $i > progress; done", {
        shell = true, channel = out,
        parse = function(line)
          sse.sleep(0.01)
          return (line:gsub("^0*", ""))
        end,
      })
    ]])
    local listener = listen(router)
    local data = take(listener, 30)
    assert.same(support.numbers(1, 30), data)
    local progress = support.wait_file(router.directory .. "/progress", tonumber)
    assert(progress < 400, ("the program was %d lines ahead"):format(progress - 30))
  end)
end)

describe("a program", function()
  after_each(server.stop_all)

  it("gets its standard input, environment and folder", function()
    local router = start([[
      sse.exec("cat; echo; echo $ONE-$HOME-$PATH; pwd; cat beside.txt; echo hi > /dev/stdout", {
        shell = true, channel = out, restart = false,
        stdin = "from the script", env = { ONE = 1, HOME = false, PATH = "/usr/bin:/bin" },
      })
      sse.exec({ "pwd" }, { channel = out, restart = "on-failure", cwd = "/usr" })
    ]], { files = { ["beside.txt"] = "a file beside\n" } })
    local data = take(listen(router), 6)
    local seen = {}
    for _, line in ipairs(data) do
      seen[line] = true
    end
    for _, line in ipairs { "from the script", "1--/usr/bin:/bin", router.directory, "a file beside", "hi", "/usr" } do
      assert.is_true(seen[line], line .. " is missing in " .. table.concat(data, ", "))
    end
  end)

  it("gets its words as they are: no shell reads them", function()
    local router = start [[
      sse.exec({ "echo", "$HOME *; echo two | cat", "`id`" }, { channel = out, restart = false })
    ]]
    assert.same({ "$HOME *; echo two | cat `id`" }, take(listen(router), 1))
  end)

  it("without standard input sees its end at once", function()
    local router = start [[ sse.exec("cat; echo done", { shell = true, channel = out, restart = false }) ]]
    assert.same({ "done" }, take(listen(router), 1))
  end)

  it("has what it writes to stderr in the log, with its name", function()
    local router = start [[
      sse.exec("echo wrong >&2; printf 'no end' >&2; seq 1 500 >&2; echo done",
        { shell = true, channel = out, restart = false })
    ]]
    assert.same({ "done" }, take(listen(router), 1))
    router:wait_log "info  exec echo%[%d+%]: wrong$"
    router:wait_log "info  exec echo%[%d+%]: no end1$"
    router:wait_log "exec echo: ended after"
    local _, count = router:log():gsub("exec echo%[%d+%]: ", "")
    assert.is_true(count <= 201, count .. " lines")
  end)

  it("is not started to check the script", function()
    local directory = files.directory { ["script.lua"] = support.script [[
      sse.exec({ "touch", "started" }, { channel = out })
    ]] }
    local result = server.run { "--check", directory .. "/script.lua" }
    assert.equal(0, result.status)
    assert.matches("sources %(1%)\n  sse.exec     exec touch +.*script.lua:6\n", result.stdout)
    assert.is_nil(files.read(directory .. "/started"))
  end)

  it("that does not exist is told of, and so is a folder that does not", function()
    local router = start [[
      sse.exec({ "no-such-program" }, { channel = out, restart = false })
      sse.exec({ "ls" }, { channel = out, restart = false, cwd = "no/such/folder" })
    ]]
    router:wait_log "exec no%-such%-program%[%d+%]: cannot run 'no%-such%-program': No such file or directory"
    router:wait_log "exec no%-such%-program: ended with status 127"
    router:wait_log "exec ls: cannot be started: there is no folder .*/no/such/folder"
  end)

  it("has a handle", function()
    local router = start [[
      local handle = sse.exec({ "sleep", "1000" }, { channel = out })
      sse.get("/handle", function() return { pid = handle.pid, running = handle.running } end)
      sse.get("/stop", function() handle:stop() handle:stop() return 204 end)
    ]]
    local state = support.poll(router, "/handle", function(answer)
      return answer.running
    end)
    assert.equal(router.pid, support.parent(state.pid))
    assert.equal(204, http.get(router.port, "/stop").status)
    support.wait_gone(state.pid)
    state = support.poll(router, "/handle", function(answer)
      return not answer.running
    end)
    assert.is_nil(state.pid)
    support.wait_children(router.pid, 0)
  end)
end)

describe("a program that ends", function()
  after_each(server.stop_all)

  it("is started again, later each time it fails", function()
    local router = start [[
      sse.exec({ "sh", "-c", "echo run; exit 3" }, { channel = out, backoff = "20ms" })
    ]]
    take(listen(router), 6)
    local number = 0
    for delay in router:log():gmatch "exec sh: ended with status 3 after [%d.]+ s; starts again in ([%d.]+) s" do
      -- Up to a quarter less or more, and what is told of it is rounded.
      local planned = 0.02 * 2 ^ number
      assert.is_true(tonumber(delay) >= planned * 0.75 - 0.05 and tonumber(delay) <= planned * 1.25 + 0.05, delay)
      number = number + 1
    end
    assert.is_true(number >= 5)
  end)

  it("is tried once a minute when it has failed ten times in a row", function()
    local router = start [[
      sse.exec({ "sh", "-c", "echo run; kill -9 $$" }, { channel = out, backoff = "1ms" })
    ]]
    local listener = listen(router)
    take(listener, 10)
    router:wait_log "exec sh: failed 10 times in a row; tries once in a minute from now on"
    listener:expect_silence(0.3)
  end)

  it("well is started again without such delays", function()
    local router = start [[ sse.exec({ "echo", "run" }, { channel = out, backoff = "5ms" }) ]]
    take(listen(router), 12)
  end)

  it("is left alone as the script says", function()
    local router = start [[
      sse.exec({ "sh", "-c", "echo a; exit 1" }, { channel = out, restart = false })
      sse.exec({ "sh", "-c", "echo b" }, { channel = out, restart = "on-failure" })
      sse.exec({ "sh", "-c", "echo c; exit 1" }, { channel = out, restart = "on-failure", backoff = "100ms" })
    ]]
    local data = take(listen(router), 4)
    table.sort(data)
    assert.same({ "a", "b", "c", "c" }, data)
  end)

  it("leaves nothing of itself", function()
    local router = start [[
      sse.exec("sleep 1000 & sleep 1000 | cat & echo $! $$", { shell = true, channel = out, backoff = "1ms" })
    ]]
    for _, line in ipairs(take(listen(router), 5)) do
      for pid in line:gmatch "%d+" do
        support.wait_gone(pid)
      end
    end
    for pid, state in pairs(support.children(router.pid)) do
      assert.not_equal("Z", state, pid)
    end
  end)
end)

describe("a program for subscribers", function()
  after_each(server.stop_all)

  local script = [[
    sse.exec("echo $$; exec sleep 1000",
      { shell = true, channel = "out", when = "subscribed", linger = "300ms", grace = "5s" })
    sse.get("/latest", function() return sse.subscribe { "out" } end)
  ]]

  local function open(router, path)
    return require("spec.support.eventsource").open(router.port, path, { reconnect = false }):wait_open()
  end

  it("runs from the first one to some time after the last one", function()
    local router = start(script)
    assert.same({}, support.children(router.pid))
    local first = open(router, "/latest")
    local pid = first:next().data
    local second = open(router, "/latest")
    second:wait_open()
    first:close()
    loop.holds(function()
      return support.is_alive(pid)
    end, 0.5, "the program runs for the second one")
    second:close()
    support.wait_gone(pid)
    local third = open(router, "/latest")
    assert.not_equal(pid, third:next().data)
  end)

  it("goes on when one comes back in time", function()
    local router = start((script:gsub("300ms", "1s")))
    local first = open(router, "/latest")
    local pid = first:next().data
    first:close()
    local second = open(router, "/latest")
    second:expect_silence(1.3)
    assert.is_true(support.is_alive(pid))
  end)

  it("runs for those who listen by a pattern, and those who came before it", function()
    local router = start(([[
      sse.get("/all", function() return sse.subscribe { "other.*" } end)
      sse.get("/begin", function() %s return 204 end)
    ]]):format((script:match("sse.exec%b()"):gsub('"out"', '"other.one"'))))
    local listener = open(router, "/all")
    http.get(router.port, "/begin")
    local pid = listener:next().data
    listener:close()
    support.wait_gone(pid)
  end)

  it("that has ended by itself runs once for them, if it is not to be started again", function()
    local router = start [[
      sse.exec({ "echo", "run" },
        { channel = "out", when = "subscribed", restart = false, linger = 0, backoff = "1ms" })
      sse.get("/latest", function() return sse.subscribe { "out" } end)
      sse.get("/count", function() return { count = out.subscribers } end)
    ]]
    local first = open(router, "/latest")
    assert.equal("run", first:next().data)
    first:expect_silence(0.2)
    first:close()
    support.poll(router, "/count", function(answer)
      return answer.count == 0
    end)
    local second = open(router, "/latest")
    assert.equal("run", second:next().data)
  end)
end)

describe("the end of a program", function()
  after_each(server.stop_all)

  it("is by force when it ignores SIGTERM", function()
    local router = start [[
      local handle = sse.exec("trap '' TERM; echo $$; while :; do sleep 0.1; done",
        { shell = true, channel = out, grace = "200ms" })
      sse.get("/stop", function() handle:stop() return 204 end)
    ]]
    local pid = take(listen(router), 1)[1]
    assert.equal(204, http.get(router.port, "/stop").status)
    router:wait_log(("process %s did not end at SIGTERM: killing it"):format(pid))
    support.wait_gone(pid)
  end)

  it("comes with the router's, for all that it has started", function()
    local router = start [[
      sse.exec("sleep 1000 & echo $!; sleep 1000 | cat & echo $!; trap '' TERM; echo $$; while :; do sleep 0.1; done",
        { shell = true, channel = out, grace = "200ms" })
      sse.exec("trap 'exit 0' TERM; echo $$; while :; do sleep 0.1; done", { shell = true, channel = out })
    ]]
    local pids = take(listen(router), 4)
    router:stop()
    for _, pid in ipairs(pids) do
      support.wait_gone(pid)
    end
    local _, killed = router:log():gsub("did not end at SIGTERM", "")
    assert.equal(1, killed)
  end)

  it("comes with the router's even when that is killed", function()
    local router = start [[
      sse.exec("trap '' TERM HUP INT PIPE; echo $$; while :; do sleep 0.1; done", { shell = true, channel = out })
      sse.exec("echo $$; exec sleep 1000", { shell = true, channel = out })
      sse.exec("trap '' TERM HUP INT PIPE; sleep 1000 & echo $!; sleep 1000 | cat & echo $!; wait",
        { shell = true, channel = out })
    ]]
    local pids = take(listen(router), 4)
    router:kill "sigkill"
    for _, pid in ipairs(pids) do
      support.wait_gone(pid)
    end
    router:wait_exit()
  end)
end)

describe("a reload", function()
  after_each(server.stop_all)

  local function script(command, more)
    return support.script(([[ sse.exec("%s", { shell = true, channel = out, %s }) ]]):format(command, more or ""))
  end

  local counter = "echo $$; i=0; while :; do i=$((i+1)); echo $i; done"

  it("keeps a program whose definition is the same, and all its lines", function()
    -- The pipe is full all the time, and many a line waits in the function.
    local function version(round)
      return script(counter, ([[when = "subscribed", linger = %d, parse = function(line)
        if line:find "0$" then sse.sleep(0.002) end
        return line
      end]]):format(round))
    end
    local router = server.start(version(0))
    local listener = listen(router)
    local pid = listener:next().data
    local last = 0
    for round = 1, 3 do
      router:rewrite(version(round))
      router:kill "sighup"
      router.process:wait_line("stderr", "reloaded the script", nil, #router.process.stderr + 1)
      for _, line in ipairs(take(listener, 300, 20)) do
        last = last + 1
        assert.equal(tostring(last), line)
      end
    end
    assert.is_true(support.is_alive(pid))
  end)

  it("does not start a program that has ended for good, nor one before its time", function()
    local folder = files.directory()
    local text = support.script(([[
      sse.exec("echo once >> %s/runs", { shell = true, channel = out, restart = false })
      sse.exec("echo failed >> %s/runs; exit 1", { shell = true, channel = out, backoff = "1h" })
    ]]):format(folder, folder))
    local router = server.start(text)
    router:wait_log "starts again in %d%d"
    support.wait_file(folder .. "/runs", function(content)
      return content:find "once" and content:find "failed"
    end)
    for _ = 1, 3 do
      local seen = #router.process.stderr
      router:kill "sighup"
      router.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
    end
    loop.holds(function()
      return #files.read(folder .. "/runs") == #"once\nfailed\n"
    end, 0.3, "no further run")
    -- The script may change its mind.
    router:rewrite((text:gsub("restart = false", 'restart = true, backoff = "1h"')))
    router:kill "sighup"
    support.wait_file(folder .. "/runs", function(content)
      return select(2, content:gsub("once", "")) == 2
    end)
    assert.equal(1, select(2, files.read(folder .. "/runs"):gsub("failed", "")))
  end)

  it("keeps a program that has said all it had to say, and ends before it is claimed or given up", function()
    local folder = files.directory()
    local router = server.start(support.script(([[
      sse.exec("exec >&- 2>&-; mkfifo %s/fifo; echo $$ > %s/pid; read line < %s/fifo", { shell = true, channel = out })
    ]]):format(folder, folder, folder)))
    local pid = support.wait_file(folder .. "/pid", function(content)
      return content:match "%d+"
    end)
    router:rewrite(support.script "")
    for round = 1, 3 do
      local seen = #router.process.stderr
      router:kill "sighup"
      router.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
      if round == 1 then
        assert(io.open(folder .. "/fifo", "w")):close()
        support.wait_gone(pid)
      end
    end
    router:stop()
  end)

  it("keeps each of several programs although what its script knew of it is collected meanwhile", function()
    local router = start([[
      for _, name in ipairs { "sleep", "/bin/sleep", "/usr/bin/sleep" } do
        sse.exec({ name, "1000" }, { channel = out })
      end
    ]], { args = { "--debug-gc" } })
    local function running(from)
      local found = {}
      for _ = 1, 3 do
        local pid, line = router.process:wait_line("stderr", "exec sleep%[(%d+)%]: runs", nil, from)
        found[#found + 1], from = pid, line + 1
      end
      return found
    end
    local pids = running(1)
    for _ = 1, 3 do
      local seen = #router.process.stderr
      router:kill "sighup"
      assert.same(pids, running(seen + 1))
    end
  end)

  it("ends a program that the new script does not have", function()
    local router = server.start(script "echo $$; exec sleep 1000")
    local listener = listen(router)
    local first = listener:next().data
    router:rewrite(script "echo $$ again; exec sleep 1000")
    router:kill "sighup"
    local second = listener:next().data:match "%d+"
    support.wait_gone(first)
    router:rewrite(support.script "")
    router:kill "sighup"
    support.wait_gone(second)
  end)
end)

describe("a mistake in sse.exec", function()
  after_each(server.stop_all)

  it("is told with the script's line", function()
    support.expect_mistakes {
      ['sse.exec({ "x" }, { chanel = "a" })'] = "sse.exec: unknown option 'chanel' (did you mean 'channel'?)",
      ['sse.exec({ "x" })'] = "sse.exec: option 'channel' is missing",
      ['sse.exec("x y", { channel = "a" })'] =
        'sse.exec: argument 1 (command) must be a list such as { "vmstat", "1" }; '
        .. "for a line of shell set option 'shell'",
      ["sse.exec({}, { channel = 'a' })"] = "sse.exec: the command is empty",
      ['sse.exec({ "x", true }, { channel = "a" })'] = "sse.exec: word 2 of the command must be a text, got boolean",
      ['sse.exec({ "x" }, { channel = "a.*" })'] =
        "sse.exec: option 'channel' must be a channel or its name, got \"a.*\"",
      ['sse.exec({ "x" }, { channel = "a", when = "now" })'] =
        "sse.exec: option 'when' must be one of \"always\", \"subscribed\", got \"now\"",
      ['sse.exec({ "x" }, { channel = "a", parse = "xml" })'] =
        "sse.exec: option 'parse' must be \"line\", \"json\", \"sse\" or a function of a line, got \"xml\"",
      ['sse.exec({ "x" }, { channel = "a", restart = "no" })'] =
        "sse.exec: option 'restart' must be true, false or \"on-failure\", got \"no\"",
      ['sse.exec({ "x" }, { channel = "a", env = { A = {} } })'] =
        "sse.exec: option 'env' must have texts as values, or false to remove one ('A' is a table), got table",
      ['sse.exec({ "x" }, { when = "subscribed", parse = print })'] =
        "sse.exec: option 'when' is \"subscribed\", but option 'channel' is missing",
    }
  end)
end)
