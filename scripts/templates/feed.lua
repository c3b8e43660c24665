-- @NAME@: a feed. What is posted is heard by everyone who listens, and by who was away and comes back.
--   sse-router --watch @NAME@.lua       and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events
--   curl -d '{"text": "hello"}' http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

-- A channel keeps its last events: a browser that lost its connection gets what it missed.
local feed = sse.channel("@NAME@", { history = 1000 })

sse.get("/", sse.file "@NAME@.html")

-- Who comes gets the last ten, then each new one.
sse.get("/events", function()
  return sse.subscribe { feed, history = 10 }
end)

sse.post("/events", function(req)
  local body, problem = req:json()
  if type(body) ~= "table" or type(body.text) ~= "string" then
    return 400, { error = problem or "wanted: a text" }
  end
  local id, subscribers = feed:publish { data = { text = body.text, time = sse.now() } }
  return 201, { id = id, subscribers = subscribers }
end)

-- Events may come from anywhere: from a timer, for example.
-- sse.every("10s", function() feed:publish { data = { text = "tick", time = sse.now() } } end)
