-- examples/clock.lua: a greeting, then the time every 3 s, to each client on a stream of its own.

local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local server = require "spec.support.server"

local time_pattern = "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)Z$"

--- Raises unless the text is a time of the last minute.
local function assert_now(text)
  local year, month, day, hour, minute, second = text:match(time_pattern)
  assert(year, text)
  local now = os.date "!*t"
  now.isdst = false
  local told = { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
  local age = os.time(now) - os.time(told)
  assert(age >= 0 and age < 60, text)
end

describe("examples/clock.lua", function()
  after_each(server.stop_all)

  it("greets, tells the time every 3 s, and logs who has left", function()
    local router = server.start_file "examples/clock.lua"
    local session = page.start("wire.mjs", { url = router.url .. "/", count = 3 })
    local opened = loop.now()
    local first = eventsource.open(router.port, "/events")
    local hello = first:next()
    assert.equal("hello", hello.event)
    assert.matches("^Hello, 127%.0%.0%.1%.", hello.data)
    local time = first:next()
    assert.equal("message", time.event)
    assert_now(time.data)

    local second = curl.start { router.url .. "/events" }
    second:wait_line("stdout", "^data: Hello")
    second:wait_line("stdout", "^data: (%d%S+)$")
    second:kill()
    router:wait_log "127%.0%.0%.1 left after %d+ s"

    assert_now(first:next().data)
    assert(loop.now() - opened >= 2.9, "the second time came too early")
    first:close()

    local shown = session:finish()
    assert.equal("Live", shown.state)
    assert.matches("^event: hello\ndata: Hello, 127%.0%.0%.1%.", shown.frames[2])
    assert.matches("^data: %d%d%d%d%-", shown.frames[3])
    loop.wait_until(function()
      return select(2, router:log():gsub("127%.0%.0%.1 left after %d+ s", "")) == 3
    end, nil, "three clients to have left")
  end)
end)
