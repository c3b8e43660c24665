-- Clients that nobody here wrote, on a wire that breaks: Chromium's EventSource, the npm package `eventsource`,
-- and curl.

local curl = require "spec.support.curl"
local feeds = require "spec.stream.feeds"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"

local count = 60

--- Publishes the events one by one; each third has a name.
local function publish(router, first, last)
  local events = {}
  for n = first, last do
    events[#events + 1] = {
      channel = n % 2 == 0 and "a" or "b",
      event = n % 3 == 0 and "third" or nil,
      data = n .. "\nline \u{20AC}",
    }
  end
  return feeds.publish(router, events)
end

local function expected_events(ids)
  local expected = {}
  for n = 1, count do
    expected[n] = { event = n % 3 == 0 and "third" or "message", data = n .. "\nline \u{20AC}", id = ids[n] }
  end
  return expected
end

--- Lets a page's script receive `count` events while its connection breaks in every way. It must come back by
--- itself, with its last id.
local function check_resumption(script)
  local router = feeds.start()
  local wire = proxy.start(router.port)
  local session = page.start(script, {
    url = ("http://127.0.0.1:%d/stream?channels=a,b&retry=20ms"):format(wire.port),
    names = { "third" },
    count = count,
  })
  session:wait_report "open"
  local ids = publish(router, 1, 1)
  -- Without an id there is nothing to resume from, and Chromium may throw away what it had not read when a
  -- connection breaks.
  session:wait_report "first"
  local opened = 1
  for n = 2, count - 1 do
    if n % 15 == 0 then
      -- What was published while it was away must come, too.
      wire:cut(n % 2 == 0)
      opened = opened + 1
      ids[n] = publish(router, n, n)[1]
      session:wait_report "open"
    else
      ids[n] = publish(router, n, n)[1]
    end
  end
  wire.faults = { cut_down = 700 }
  wire:cut()
  ids[count] = publish(router, count, count)[1]
  local result = session:finish()
  assert.equal("enough", result.reason)
  assert.same(expected_events(ids), result.events)
  local opens = 0
  for _, state in ipairs(result.states) do
    opens = opens + (state == "open" and 1 or 0)
  end
  assert.is_true(opens > opened, opens .. " connections")
  feeds.wait_subscribers(router, "a", 0)
end

describe("a client that nobody here wrote", function()
  after_each(server.stop_all)

  it("is Chromium's EventSource, which resumes", function()
    if page.missing() then
      pending(page.missing())
    end
    check_resumption "browser_events.mjs"
  end)

  it("is Chromium's EventSource, which misses nothing before the first event with an id, either", function()
    if page.missing() then
      pending(page.missing())
    end
    local router = feeds.start [[
      sse.get("/hello", function()
        return sse.subscribe { "a", retry = "20ms", first = { { data = "hello" } } }
      end)
    ]]
    local wire = proxy.start(router.port)
    local session = page.start("browser_events.mjs", {
      url = ("http://127.0.0.1:%d/hello"):format(wire.port),
      count = 3,
    })
    session:wait_report "first"
    wire:refuse(true)
    wire:cut()
    local ids = feeds.publish(router, { { channel = "a", data = "while it was away" } })
    wire:refuse(false)
    local events = session:finish().events
    assert.same({ "hello", "hello", "while it was away" }, { events[1].data, events[2].data, events[3].data })
    assert.equal(ids[1], events[3].id)
  end)

  it("is the npm package eventsource, which resumes", function()
    if page.missing() then
      pending(page.missing())
    end
    check_resumption "node_events.mjs"
  end)

  it("is curl, which shows the stream as it is and resumes by a header", function()
    local router = feeds.start()
    local wire = proxy.start(router.port)
    local url = ("http://127.0.0.1:%d/stream?channels=a,b"):format(wire.port)
    local reader = curl.start { url }
    reader:wait_line("stdout", "^:$")
    local ids = publish(router, 1, 3)
    reader:wait_line("stdout", "^id: " .. ids[3]:gsub("%-", "%%-") .. "$")
    wire:cut()
    -- 18: the transfer ended before its last chunk.
    assert.equal(18, (reader:wait_exit()))
    ids = table.move(publish(router, 4, 5), 1, 2, 4, ids)
    local again = curl.start { "-H", "Last-Event-ID: " .. ids[2], url }
    loop.wait_until(function()
      return #again.stdout >= 15
    end, nil, "three events")
    again:kill "sigterm"
    again:wait_exit()
    assert.same({
      ":", "",
      "id: " .. ids[3], "event: third", "data: 3", "data: line \u{20AC}", "",
      "id: " .. ids[4], "data: 4", "data: line \u{20AC}", "",
      "id: " .. ids[5], "data: 5", "data: line \u{20AC}", "",
    }, again.stdout)
    loop.wait_until(function()
      return wire.live == 0
    end, nil, "the wire to fall silent")
    feeds.wait_subscribers(router, "a", 0)
  end)

  it("is curl speaking HTTP/1.0, whose stream ends with the connection", function()
    local router = feeds.start [[
      sse.post("/close", function() sse.channel "a":close() return 204 end)
    ]]
    local reader = curl.start { "--http1.0", router.url .. "/stream?channels=a" }
    local position = reader:wait_line("stdout", "^id: %w+%-0$")
    feeds.publish(router, { { channel = "a", id = "1", data = "x" } })
    curl.run { "-X", "POST", router.url .. "/close" }
    assert.equal(0, (reader:wait_exit()))
    assert.same({ ":", "", ": position", position, "", "id: 1", "data: x", "" }, reader.stdout)
  end)
end)
