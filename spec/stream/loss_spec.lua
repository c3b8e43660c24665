-- Logs that are too short for readers that stop at random: whatever is lost is told, nothing else is lost, and
-- nothing comes twice.

local seed = require "spec.support.seed"
local uv = require "luv"
local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local names = { "ends", "skips" }
local wishes = { "ends", "skips", "ends,skips" }
local steps, readers_wanted, event_size = 250, 12, 30000

local channels = [[
  sse.channel("ends", { history = 15 })
  sse.channel("skips", { history = 15, on_lag = "skip" })
]]

local function wants(reader, n)
  return reader.query:find(names[n % 2 + 1], 1, true) ~= nil
end

--- The next number is wanted and nothing that is wanted lies between, but what a reset has told of: it stands
--- before the next event of the channel that skips, or at the beginning of a connection, where what it stands before
--- may even be from before.
local function on_number(reader, n)
  assert(wants(reader, n), "an event of another channel")
  local last, evicted, skipping = reader.last, reader.evicted, reader.skipping
  local function is_told(missing)
    return skipping and names[missing % 2 + 1] == "skips"
  end
  reader.last, reader.evicted = n, nil
  reader.skipping = skipping and not is_told(n)
  if not last or evicted then
    return
  end
  assert(n > last, ("%d after %d"):format(n, last))
  for missing = last + 1, n - 1 do
    if wants(reader, missing) and not is_told(missing) then
      error(("%d comes after %d in %s, and no loss was told"):format(n, last, reader.query), 0)
    end
  end
end

local function enter(router)
  local query = wishes[math.random(#wishes)]
  local reader = { query = query, losses = 0 }
  reader.source = eventsource.open(router.port, "/stream?channels=" .. query, {
    reconnect_after = 0,
    receive_buffer = 4096,
    on_event = function(event)
      if event.event == "reset" then
        local info = json.decode(event.data)
        reader.losses = reader.losses + 1
        assert(info.reason == "lagged" or info.reason == "evicted", info.reason)
        reader[info.reason == "lagged" and "skipping" or "evicted"] = true
      else
        on_number(reader, feeds.numbers({ event })[1])
      end
    end,
  })
  return reader
end

local function stop_or_go(readers)
  local reader = readers[math.random(#readers)]
  if reader.source.paused then
    reader.source:resume()
  elseif reader.source:state() == "open" then
    reader.source:pause()
  end
end

local function finish(router, readers, last)
  for _, reader in ipairs(readers) do
    if reader.source.paused then
      reader.source:resume()
    end
  end
  local publisher = http.connect(router.port)
  local deadline = loop.now() + loop.limit(20)
  -- Who is on the way back may miss what is published meanwhile; so it goes on until everybody has the newest.
  local function everybody_has_it()
    for _, reader in ipairs(readers) do
      if not reader.last or reader.last < last - 1 then
        return false
      end
    end
    return true
  end
  repeat
    publisher:request("POST", ("/burst?channels=ends,skips&count=2&from=%d"):format(last + 1))
    assert.equal(204, publisher:receive_response().status)
    last = last + 2
    for _ = 1, 20 do
      uv.run "nowait"
    end
    loop.raise_failure()
  until everybody_has_it() or loop.now() > deadline
  assert.is_true(everybody_has_it())
end

describe("readers that stop at random before a short log", function()
  after_each(server.stop_all)

  for _, threads in ipairs { 0, 2 } do
    it(("are told of each loss, with %d threads"):format(threads), function()
      seed("loss", threads)
      local router = feeds.start(channels, { threads = threads })
      local publisher = http.connect(router.port)
      local readers, last = {}, 0
      for index = 1, readers_wanted do
        readers[index] = enter(router)
        readers[index].source:wait_open()
      end
      for _ = 1, steps do
        local count = math.random(1, 6)
        publisher:request("POST", ("/burst?channels=ends,skips&count=%d&from=%d&size=%d"):format(
          count, last + 1, event_size))
        assert.equal(204, publisher:receive_response().status)
        last = last + count
        stop_or_go(readers)
      end
      finish(router, readers, last)
      local losses = 0
      for _, reader in ipairs(readers) do
        losses = losses + reader.losses
      end
      assert.is_true(losses > 0, "nobody lost anything: the spec shows nothing")
    end)
  end
end)
