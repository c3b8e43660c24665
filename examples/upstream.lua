-- Two feeds of other servers as one: each event keeps its name, data and id, and after a break both go on where they
-- were. What comes from where is in the event's meta, so a listener may choose one with a filter.
--   ./dev run examples/random.lua --listen 127.0.0.1:8081
--   ./dev run examples/latest.lua --listen 127.0.0.1:8082
--   ./dev run examples/upstream.lua     and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/merged
--   FEEDS='https://stream.wikimedia.org/v2/stream/recentchange' ./dev run examples/upstream.lua

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local feeds = os.getenv "FEEDS" or "http://127.0.0.1:8081/events http://127.0.0.1:8082/latest"
local merged = sse.channel("merged", { history = 1000 })
local upstreams = {}

for _, url in ipairs(sse.split(feeds, " ")) do
  upstreams[#upstreams + 1] = sse.upstream(url, merged)
end

sse.filter("from", function(event, part)
  return event.meta.upstream:find(part, 1, true) ~= nil
end)

sse.get("/", function() return 302, nil, { Location = "/wire#/merged" } end)
sse.get("/wire", sse.file "wire.html")

sse.get("/merged", function(req)                  -- /merged?from=8081: one of the feeds
  return sse.subscribe { merged, filter = req.query.from and { "from", req.query.from } }
end)

sse.get("/feeds", function()                      -- how the feeds are
  local list = sse.array {}
  for index, upstream in ipairs(upstreams) do
    list[index] = { url = upstream.url, state = upstream.state, last_event_id = upstream.last_event_id }
  end
  return list
end)
