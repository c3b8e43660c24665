-- One feed on several servers: the first owns it, the others follow. Events have the same ids everywhere, so behind any
-- load balancer a browser may come back to another instance and misses nothing; what is posted to any reaches all.
--   ./dev run examples/instances.lua
--   OWNER=http://127.0.0.1:8080 ./dev run examples/instances.lua --listen 127.0.0.1:8081     and as many more
--   curl -N http://127.0.0.1:8081/news          or open http://127.0.0.1:8081/#/news
--   curl -d 'Hello' http://127.0.0.1:8081/news

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local owner = os.getenv "OWNER"
local news = sse.channel("news", { history = 1000 })   -- after sse.store the owner may even restart: ids go on

sse.get("/", sse.file "wire.html")
sse.get("/news", news)

if not owner then
  sse.publisher("/news", { channel = news })
  return
end

sse.upstream(owner .. "/news", { last_event_id = "earliest" }, news)

sse.post("/news", function(req)
  local response, problem = sse.fetch(owner .. "/news", {
    method = "POST",
    body = req.body,
    headers = { ["Content-Type"] = req.headers["content-type"], ["Idempotency-Key"] = req.headers["idempotency-key"] },
  })
  if not response then
    return 502, { error = "the owner does not answer: " .. problem }
  end
  return response.status, response.body, { ["Content-Type"] = response.headers["content-type"] }
end)
