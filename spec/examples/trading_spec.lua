-- examples/trading.lua: prices every second with ids, alerts now and then, no gap after a lost connection;
-- and a page with the connection's state and the prices.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"

local example = "examples/trading.lua"

local function ids_of(events)
  local ids = {}
  for number, event in ipairs(events) do
    ids[number] = event.id
  end
  return ids
end

--- A listener that keeps all events in the list it is given with.
local function record(port)
  local events = {}
  local listener = eventsource.open(port, "/events", {
    on_event = function(event)
      events[#events + 1] = event
    end,
  })
  return events, listener
end

local function wait_events(events, count)
  loop.wait_until(function()
    return #events >= count
  end, nil, function()
    return ("%d events; there are %d"):format(count, #events)
  end)
end

describe("examples/trading.lua", function()
  after_each(server.stop_all)

  it("sends each price every second, and resumes where the connection broke", function()
    local router = server.start_file(example)
    local all, reference = record(router.port)
    -- The wire breaks three times in the middle of an event.
    local wire = proxy.start(router.port, function(number)
      return { cut_down = number <= 3 and 450 or nil, reset = number == 2 }
    end)
    local victim = eventsource.open(wire.port, "/events", { reconnect_after = 0.05 })
    local heard = victim:take(7)
    assert(victim.opened > 3, "the wire did not break")
    wait_events(all, 7)
    assert.same({ table.unpack(all, 1, 7) }, heard)
    assert.same({ 1000 }, reference.retries)

    local prices, seen = {}, {}
    for _, event in ipairs(heard) do
      assert(event.id ~= "" and not seen[event.id], event.id)
      seen[event.id] = true
      if event.event == "price-update" then
        local data = json.decode(event.data)
        assert(data.price > 0 and math.abs(data.percent) <= 2 and data.time <= os.time() + 1)
        prices[data.symbol] = (prices[data.symbol] or 0) + 1
      else
        assert.equal("alert", event.event)
        assert.matches("^%u+ %a+ [%d.]+ %% in a second$", json.decode(event.data).text)
      end
    end
    assert(prices.ACME and prices.HOOP and prices.ZINC)

    -- Both ways to say where to go on.
    local watcher = curl.start { "-H", "Last-Event-ID: " .. heard[3].id, router.url .. "/events" }
    assert.equal(heard[4].id, (watcher:wait_line("stdout", "^id: (.*)")))
    local asked = eventsource.open(router.port, "/events?last_event_id=" .. heard[3].id)
    assert.same({ table.unpack(heard, 4) }, asked:take(4))
  end)

  it("sends an alert when a price jumps, and none while all is calm", function()
    local function listen_with_dice(number)
      local rigged = ("math.random = function() return %g end "):format(number) .. files.read(example)
      return eventsource.open(server.start(rigged).port, "/events")
    end

    local jumpy, calm = listen_with_dice(1), listen_with_dice(0.5)
    for _, text in ipairs { "ACME up 2.0 % in a second", "HOOP up 2.0 % in a second" } do
      assert.equal("price-update", jumpy:next().event)
      local data, event = jumpy:next_json()
      assert.equal("alert", event.event)
      assert.equal(text, data.text)
    end
    for _ = 1, 3 do
      assert.equal("price-update", calm:next().event)
    end
  end)

  it("has a page that shows the state and the prices, and misses nothing", function()
    local router = server.start_file(example)
    local all = record(router.port)
    local wire = proxy.start(router.port)
    local session = page.start("trading.mjs", ("http://127.0.0.1:%d/"):format(wire.port))

    --- The page has had every event once, from the first one to its last.
    local function assert_no_gap(shown)
      wait_events(all, shown.count)
      assert.equal(ids_of(all)[shown.count], shown.last_id)
    end

    local first = session:wait_report "live"
    assert_no_gap(first)
    assert.same({ "ACME", "HOOP", "ZINC" }, first.symbols)
    local moved = session:wait_report "moved"
    assert.not_same(first.prices, moved.prices)

    wire:refuse(true)
    wire:cut(true)
    local lost = session:wait_report "lost"
    assert.equal("Reconnecting…", lost.state)
    wait_events(all, #all + 3)
    wire:refuse(false)
    local back = session:wait_report "back"
    assert_no_gap(back)
    assert.equal(("%d events"):format(back.count - lost.count), back.caught_up)

    assert.equal("Disconnected", session:wait_report "disconnected")
    wait_events(all, #all + 3)
    session:tell "go on"
    assert_no_gap(session:finish())
  end)
end)
