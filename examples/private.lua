-- A feed for those who know the token: none is answered 401, a wrong one 403.
-- Browsers cannot set headers on an EventSource, so `?token=` works too; no log line shows it.
--   FEED_TOKEN=letmein ./dev run examples/private.lua   and open http://127.0.0.1:8080/#/events?token=letmein
--   curl -N 'http://127.0.0.1:8080/events?token=letmein'
--   curl -N -H 'Authorization: Bearer letmein' http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local secret = os.getenv "FEED_TOKEN"
if not secret then
  sse.log.warn "FEED_TOKEN is not set: anyone who has read this example can listen"
  secret = "letmein"
end

local members = sse.channel "members"

sse.get("/", sse.file "wire.html")
sse.get("/events", sse.auth.token { secret = secret }, members)

sse.every("2s", function()
  members:publish { event = "secret", data = { number = math.random(1000) } }
end)
