-- A wire that fails: whatever it does, what a client has got in all its connections is exactly what was published.

local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local loop = require "spec.support.loop"
local proxy = require "spec.support.proxy"
local seed = require "spec.support.seed"
local server = require "spec.support.server"

local text = "a line\nanother \u{20AC}\u{1F600}\n\n  \r\nlast"

--- Publishes the numbers from `first` to `last` over two channels, with data of several lines.
local function publish(router, first, last)
  local events = {}
  for n = first, last do
    events[#events + 1] = {
      channel = n % 2 == 0 and "a" or "b",
      event = n % 3 == 0 and "third" or nil,
      id = n % 5 == 0 and "own/" .. n or nil,
      data = n .. " " .. text,
    }
  end
  return feeds.publish(router, events)
end

--- A client through the proxy; what it receives is in `seen`, ids and data.
local function open(wire, query, options)
  local seen = { ids = {}, data = {} }
  options = options or {}
  options.reconnect_after = 0
  options.on_event = function(event)
    table.insert(seen.ids, event.id)
    table.insert(seen.data, event.data)
  end
  seen.source = eventsource.open(wire.port, "/stream?channels=a,b" .. (query or ""), options)
  return seen
end

local function wait_ids(seen, ids, seconds)
  loop.wait_until(function()
    return seen.ids[#seen.ids] == ids[#ids] or #seen.ids > #ids
  end, seconds or 20, function()
    return ("%d ids; there are %d, %d connections"):format(#ids, #seen.ids, seen.source.opened)
  end)
  assert.same(ids, seen.ids)
  for _, data in ipairs(seen.data) do
    assert.equal(text:gsub("\r\n", "\n"), (data:gsub("^%d+ ", "")))
  end
end

local function append(list, more)
  return table.move(more, 1, #more, #list + 1, list)
end

describe("over a wire that", function()
  local router, wire

  before_each(function()
    router = feeds.start [[ sse.channel("a", { history = 10000 }) sse.channel("b", { history = 10000 }) ]]
  end)

  after_each(server.stop_all)

  for _, reset in ipairs { false, true } do
    it("breaks at random bytes, with " .. (reset and "RST" or "FIN"), function()
      seed "wire"
      wire = proxy.start(router.port)
      local seen = open(wire)
      seen.source:wait_open()
      local ids = publish(router, 1, 1)
      wait_ids(seen, ids)
      -- From the next connection on: within the head, within an event, or somewhere later.
      wire.faults = function()
        return { cut_down = math.random(3000), reset = reset }
      end
      wire:cut(reset)
      for round = 0, 3 do
        append(ids, publish(router, round * 100 + 2, round * 100 + 101))
        wait_ids(seen, ids)
      end
      assert.is_true(seen.source.opened > 10, seen.source.opened .. " connections")
    end)
  end

  it("breaks in every byte of an event", function()
    wire = proxy.start(router.port)
    local ids = publish(router, 1, 3)
    local head = open(wire, "&start=earliest")
    wait_ids(head, ids)
    local whole = wire.bytes.down
    head.source:close()
    local third = publish(router, 4, 4)
    append(ids, third)
    wire:close()
    for more = 1, 120 do
      local faulty = true
      wire = proxy.start(router.port, function()
        local faults = faulty and { cut_down = whole + more } or {}
        faulty = false
        return faults
      end)
      local seen = open(wire, "&start=earliest")
      wait_ids(seen, ids)
      seen.source:close()
      wire:close()
    end
  end)

  it("carries one byte at a time", function()
    wire = proxy.start(router.port, { portion = 1, window = 4096 })
    local seen = open(wire)
    seen.source:wait_open()
    wait_ids(seen, publish(router, 1, 60))
    assert.equal(1, seen.source.opened)
  end)

  it("stalls for a while", function()
    wire = proxy.start(router.port, { window = 4096 })
    local seen = open(wire, nil, { receive_buffer = 4096 })
    seen.source:wait_open()
    local ids = {}
    for round = 0, 5 do
      wire:stall(0.05)
      append(ids, publish(router, round * 200 + 1, round * 200 + 200))
    end
    wait_ids(seen, ids)
    assert.equal(1, seen.source.opened)
  end)

  it("is half-open: the client has gone and come back, and the server has not heard of it", function()
    wire = proxy.start(router.port)
    local seen = open(wire)
    seen.source:wait_open()
    local ids = publish(router, 1, 10)
    wait_ids(seen, ids)
    for round = 1, 5 do
      wire:freeze()
      append(ids, publish(router, round * 10 + 1, round * 10 + 10))
      seen.source:drop()
      local fresh = proxy.start(router.port)
      seen.source.address.port = fresh.port
      wait_ids(seen, ids)
      wire:cut(true)
      wire = fresh
    end
    feeds.wait_subscribers(router, "a", 1)
  end)

  it("breaks under many clients with names and filters, each of which gets its own", function()
    wire = proxy.start(router.port, function()
      return { cut_down = math.random(200, 4000), reset = math.random(2) == 1 }
    end)
    local wishes = {}
    for index = 1, 12 do
      local step = index % 4 + 1
      local names = index % 3 == 0
      local reader = { numbers = {}, wants = function(n)
        return n % step == 0 and (not names or n % 3 == 0)
      end }
      local query = ("/stream?channels=a,b&step=%d%s&start=earliest"):format(step, names and "&events=third" or "")
      reader.source = eventsource.open(wire.port, query, {
        reconnect_after = 0,
        on_event = function(event)
          table.insert(reader.numbers, feeds.numbers({ event })[1])
        end,
      })
      wishes[index] = reader
    end
    for round = 0, 9 do
      local events = {}
      for n = round * 24 + 1, round * 24 + 24 do
        events[#events + 1] = { channel = n % 2 == 0 and "a" or "b", event = n % 3 == 0 and "third" or nil,
          data = { n = n, text = text } }
      end
      feeds.publish(router, events)
    end
    for _, reader in ipairs(wishes) do
      local expected = {}
      for n = 1, 240 do
        if reader.wants(n) then
          expected[#expected + 1] = n
        end
      end
      loop.wait_until(function()
        return #reader.numbers >= #expected
      end, 20, "all events of one client")
      assert.same(expected, reader.numbers)
    end
  end)
end)
