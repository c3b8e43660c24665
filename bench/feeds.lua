-- The feeds of the bench, with the same paths as every peer.
--   sse-router bench/feeds.lua

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local bench = sse.channel("bench", { history = 1000 })
local filter_calls = 0

sse.get("/sub/:channel", function(req)
  return sse.subscribe { req.params.channel }
end)

sse.post("/pub/:channel", function(req)
  sse.publish(req.params.channel, { data = req.body })
  return 204
end)

sse.publisher "/direct/:channel"

-- The script publishes in a loop: events numbered from `first`, each `bytes` long.
sse.post("/burst/:channel/:first/:count/:bytes", function(req)
  local params = req.params
  local first = math.tointeger(params.first)
  for n = first, first + math.tointeger(params.count) - 1 do
    local head = ('{"n":%d,"c":0,"pad":"'):format(n)
    sse.publish(params.channel, { data = head .. ("x"):rep(math.tointeger(params.bytes) - #head - 2) .. '"}' })
  end
  return 204
end)

-- A filter that looks at the event and its argument and lets everything through, so that every subscriber
-- can be checked for every event.
sse.filter("any", function(event, group)
  filter_calls = filter_calls + 1
  return event.data ~= group
end)

sse.get("/filtered/:group", function(req)
  return sse.subscribe { bench, filter = { "any", req.params.group } }
end)

sse.get("/named", function()
  return sse.subscribe { bench, events = { "message" } }
end)

-- For counts of instructions: whatever the machine's pace, no heartbeat is among them.
sse.get("/quiet/:channel", function(req)
  return sse.subscribe { req.params.channel, heartbeat = "1h" }
end)

sse.get("/beating", function()
  return sse.subscribe { bench, heartbeat = "2s" }
end)

sse.get("/private/:group", sse.auth.token { secret = "bench-token" }, function(req)
  return sse.subscribe { bench, filter = { "any", req.params.group } }
end)

sse.get("/filter-calls", function()
  return { calls = filter_calls }
end)

-- As many channels as asked for, in a thousand groups, each with an event in its log.
sse.post("/channels/:count", function(req)
  for i = 1, math.tointeger(req.params.count) do
    sse.publish(("group-%d.channel-%d"):format(i % 1000, i), { data = "first" })
  end
  return 204
end)
