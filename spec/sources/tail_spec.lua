-- sse.tail: lines that are appended to a file become events, whatever becomes of the file.

local files = require "spec.support.files"
local server = require "spec.support.server"
local support = require "spec.sources.support"

local listen, take = support.listen, support.take

local function append(path, text)
  local file = assert(io.open(path, "ab"))
  file:write(text)
  file:close()
end

describe("the lines of a file", function()
  local router, log

  after_each(server.stop_all)

  --- Starts a router whose script follows app.log, with these options and this content of the file so far.
  local function follow(given, content)
    local directory = files.directory(content and { ["app.log"] = content })
    log = directory .. "/app.log"
    router = support.start(('sse.tail("%s", %s)'):format(log, given or "{ channel = out }"))
    if content then
      router:wait_log "tail app.log: reads from byte"
    end
    return listen(router)
  end

  it("that are there are left out, those that come are events", function()
    local listener = follow(nil, "old 1\nold 2\n")
    append(log, "new 1\nnew 2\n")
    append(log, "new 3\r\n\nnew 4\n")
    assert.same({ "new 1", "new 2", "new 3", "new 4" }, take(listener, 4))
  end)

  it("are all events when they are asked for from the start", function()
    local listener = follow('{ channel = out, from = "start", event = "line" }', "old 1\nold 2\n")
    local event = listener:next()
    assert.same({ "line", "old 1" }, { event.event, event.data })
    append(log, "new 1\n")
    assert.same({ "old 2", "new 1" }, take(listener, 2))
  end)

  it("are events once they are complete", function()
    local listener = follow(nil, "old\nbegun ")
    append(log, "earlier\n")
    assert.equal("begun earlier", listener:next().data)
    append(log, "one")
    listener:expect_silence(0.15)
    append(log, " and the same\ntwo")
    assert.equal("one and the same", listener:next().data)
    append(log, "\n")
    assert.equal("two", listener:next().data)
  end)

  it("come in order when there are many", function()
    local listener = follow('{ channel = out, from = "start" }', table.concat(support.numbers(1, 5000), "\n") .. "\n")
    append(log, table.concat(support.numbers(5001, 6000), "\n") .. "\n")
    assert.same(support.numbers(1, 6000), take(listener, 6000))
  end)

  it("come although the file was not there, nor its folder", function()
    local directory = files.directory()
    router = support.start(('sse.tail("%s/logs/app.log", { channel = out })'):format(directory))
    local listener = listen(router)
    listener:expect_silence(0.1)
    require("luv").fs_mkdir(directory .. "/logs", 493)
    append(directory .. "/logs/app.log", "first\n")
    assert.equal("first", listener:next().data)
    append(directory .. "/logs/app.log", "second\n")
    assert.equal("second", listener:next().data)
  end)

  it("come after a rotation, and those before it are not lost", function()
    local listener = follow('{ channel = out, from = "start" }', "1\n")
    assert.equal("1", listener:next().data)
    local number = 1
    for round = 1, 5 do
      append(log, ("%d\n%d"):format(number + 1, number + 2))
      os.rename(log, log .. "." .. round)
      -- The writer has not noticed yet.
      append(log .. "." .. round, ("0\n%d0\n"):format(number + 3))
      append(log, "")
      append(log .. "." .. round, ("%d00"):format(number + 4))
      append(log, ("%d000\n"):format(number + 5))
      assert.same({
        tostring(number + 1), number + 2 .. "0", number + 3 .. "0", number + 4 .. "00", number + 5 .. "000",
      }, take(listener, 5))
      number = number + 5
    end
  end)

  it("come after a truncation", function()
    local listener = follow('{ channel = out, from = "start" }', "a long line before\nand another\nbegun")
    assert.same({ "a long line before", "and another" }, take(listener, 2))
    io.open(log, "w"):close()
    append(log, "new\n")
    local data = take(listener, 2)
    assert.same({ "begun", "new" }, data)
    -- Written anew, and longer at once than before.
    local file = io.open(log, "w")
    file:write "a line of the new content\nand one more\n"
    file:close()
    assert.same({ "a line of the new content", "and one more" }, take(listener, 2))
  end)

  it("come after the file was removed and made again", function()
    local listener = follow('{ channel = out, from = "start" }', "1\n")
    assert.equal("1", listener:next().data)
    for number = 2, 6 do
      os.remove(log)
      if number % 2 == 0 then
        listener:expect_silence(0.05)
      end
      append(log, number .. "\n")
      assert.equal(tostring(number), listener:next().data)
    end
  end)

  it("come through a symbolic link, and after it leads elsewhere", function()
    local uv = require "luv"
    local directory = files.directory { one = "", two = "" }
    router = support.start(('sse.tail("%s/link", { channel = out, from = "start" })'):format(directory))
    uv.fs_symlink("one", directory .. "/link")
    local listener = listen(router)
    append(directory .. "/one", "1\n")
    assert.equal("1", listener:next().data)
    append(directory .. "/one", "2\n")
    assert.equal("2", listener:next().data)
    uv.fs_symlink("two", directory .. "/next")
    append(directory .. "/two", "3\n")
    os.rename(directory .. "/next", directory .. "/link")
    assert.equal("3", listener:next().data)
  end)

  it("longer than 1 MiB are left out and told of", function()
    local listener = follow('{ channel = out, from = "start" }', "")
    append(log, "one\n" .. ("x"):rep(2 << 20) .. "\ntwo\n")
    assert.same({ "one", "two" }, take(listener, 2))
    router:wait_log "error tail app.log: a line of more than 1 MiB was left out"
  end)

  it("may be JSON, or go to a function instead", function()
    local listener = follow('{ channel = out, parse = "json", from = "start" }', '{"n": 1}\n{"n":\n{"n": 2}\n')
    assert.same({ '{"n":1}', '{"n":2}' }, take(listener, 2))
    router:wait_log "error tail app.log: no JSON: "
    router:stop()
    listener = follow([[function(line)
      if line == "bad" then error("bad line") end
      sse.sleep(0.01)
      out:publish(line:upper())
    end]], "")
    append(log, "one\nbad\ntwo\n")
    assert.same({ "ONE", "TWO" }, take(listener, 2))
    router:wait_log "error tail app.log: .*bad line"
  end)

  it("of what is no regular file are told of, once", function()
    local directory = files.directory()
    router = support.start(('sse.tail("%s", { channel = out })'):format(directory))
    router:wait_log "error tail .*: not a regular file"
  end)

  it("come no more when it was stopped", function()
    local directory = files.directory { ["app.log"] = "" }
    router = support.start(([[
      local handle = sse.tail("%s/app.log", { channel = out, from = "start" })
      sse.tail("%s/app.log", { channel = out, from = "start", event = "other" })
      sse.get("/stop", function() handle:stop() return {} end)
    ]]):format(directory, directory))
    local listener = listen(router)
    append(directory .. "/app.log", "one\n")
    listener:take(2)
    support.poll(router, "/stop", function() return true end)
    append(directory .. "/app.log", "two\n")
    assert.equal("other", listener:next().event)
    listener:expect_silence(0.1)
  end)
end)

describe("a reload", function()
  after_each(server.stop_all)

  it("loses no line of a file, and doubles none", function()
    local directory = files.directory { ["app.log"] = "old\n" }
    local log = directory .. "/app.log"
    local function script(round)
      return support.script(('local round = %d sse.tail("%s", { channel = out, from = "end" })'):format(round, log))
    end
    local router = server.start(script(0), { args = { "--log-level", "debug" } })
    router:wait_log "tail app.log: reads from byte"
    local listener = listen(router)
    local expected = {}
    local function write(count)
      for _ = 1, count do
        expected[#expected + 1] = tostring(#expected + 1)
        append(log, expected[#expected] .. "\n")
      end
    end
    for round = 1, 4 do
      local seen = #router.process.stderr
      write(40)
      router:rewrite(script(round))
      router:kill "sighup"
      write(40)
      append(log, "half ")
      router.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
      append(log, "a line\n")
      expected[#expected + 1] = "half a line"
    end
    assert.same(expected, take(listener, #expected))
    listener:expect_silence(0.1)
  end)
end)

describe("a mistake in sse.tail", function()
  after_each(server.stop_all)

  it("is told with the script's line", function()
    support.expect_mistakes {
      ["sse.tail(3, { channel = 'a' })"] = "sse.tail: argument 1 (path) must be a string, got 3",
      ["sse.tail('x')"] = "sse.tail: option 'channel' is missing",
      ["sse.tail('x', { channel = 'a', form = 'start' })"] =
        "sse.tail: unknown option 'form' (did you mean 'from'?)",
      ["sse.tail('x', { channel = 'a', from = 'top' })"] =
        "sse.tail: option 'from' must be one of \"start\", \"end\", got \"top\"",
    }
  end)
end)
