-- examples/logs.lua: the new lines of a log file, filtered at the server, and its page.

local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local server = require "spec.support.server"

local example = "examples/logs.lua"

describe("examples/logs.lua", function()
  local router, log

  after_each(server.stop_all)

  local function append(...)
    local file = assert(io.open(log, "a"))
    file:write(table.concat({ ... }, "\n"), "\n")
    file:close()
  end

  local function start()
    log = files.directory { ["app.log"] = "before\n" } .. "/app.log"
    router = server.start_file(example, { env = { LOG_FILE = log }, args = { "--log-level", "debug" } })
    router:wait_log "tail app.log: reads from byte"
  end

  local function data_of(listener, count)
    local list = {}
    for index, event in ipairs(listener:take(count)) do
      list[index] = event.data
    end
    return list
  end

  it("sends lines as they are written, also after a rotation, and those before to who comes later", function()
    start()
    local listener = eventsource.open(router.port, "/events"):wait_open()
    append("one", "two")
    assert.same({ "one", "two" }, data_of(listener, 2))
    os.rename(log, log .. ".1")
    append "three"
    assert.equal("three", listener:next().data)
    assert.same({ 1000 }, listener.retries)
    assert.same({ "one", "two", "three" }, data_of(eventsource.open(router.port, "/events"), 3))
    listener:drop()
    append "four"
    assert.equal("four", listener:next().data)
  end)

  it("sends who has a filter only the lines with that text, as the curl lines in its head ask", function()
    start()
    append("an Error", "fine", "error 2")
    local watcher = curl.start { router.url .. "/events?filter=error" }
    watcher:wait_line("stdout", "^data: error 2$")
    append("fine", "no ERROR")
    watcher:wait_line("stdout", "^data: no ERROR$")
    assert.is_nil(watcher:text("stdout"):find "fine")
    local listener = eventsource.open(router.port, "/events?filter=ERR")
    assert.same({ "an Error", "error 2", "no ERROR" }, data_of(listener, 3))
  end)

  it("has a page with a filter box", function()
    start()
    append("an error <b>", "fine", "Error <B> and error <b>")
    local listener = eventsource.open(router.port, "/events")
    listener:take(3)
    local session = page.start("logs.mjs", router.url .. "/")
    session:tell("lines", 3)
    local shown = session:wait_report "all"
    assert.same({ "an error <b>", "fine", "Error <B> and error <b>" }, shown.lines)
    assert.same({ {}, "3 lines", "Live" }, { shown.marks, shown.count, shown.state })
    assert.equal(("curl -N '%s/events'"):format(router.url), shown.curl)

    session:tell("filtered", 2)
    shown = session:wait_report "filtered"
    assert.same({ "an error <b>", "Error <B> and error <b>" }, shown.lines)
    assert.same({ "error <b>", "Error <B>", "error <b>" }, shown.marks)
    assert.equal(("curl -N '%s/events?filter=error%%20%%3Cb%%3E'"):format(router.url), shown.curl)

    append("fine again", "the last error <b>")
    session:tell("more", 3)
    shown = session:wait_report "more"
    assert.equal("the last error <b>", shown.lines[3])
    session:tell("again", 3)
    assert.equal("error <b>", session:finish().filter)
  end)

  it("writes a log of its own to show when it is given none, and takes it away at its end", function()
    router = server.start_file(example, { env = { LOG_FILE = false }, args = { "--log-level", "debug" } })
    local name = router:wait_log "tail (lua_%w+): reads from byte"
    local listener = eventsource.open(router.port, "/events")
    assert.matches("^%d%d:%d%d:%d%d %l+ +%w", listener:next().data)
    router:stop()
    loop.wait_until(function()
      return not files.read("/tmp/" .. name)
    end, nil, "the end of the file")
  end)
end)
