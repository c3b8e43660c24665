-- @NAME@: a feed for those who know a token. None is answered 401, a wrong one 403; no log line shows it.
--   FEED_TOKEN=secret sse-router --watch @NAME@.lua     and open http://127.0.0.1:8080/#secret
--   curl -N -H 'Authorization: Bearer secret' http://127.0.0.1:8080/events
--   curl -H 'Authorization: Bearer secret' -d 'hello' http://127.0.0.1:8080/publish

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local secret = os.getenv "FEED_TOKEN"
if not secret then
  sse.log.warn "FEED_TOKEN is not set: 'secret' stands in for it"
  secret = "secret"
end

-- A guard runs before the handler; what it returns ends the request. Browsers cannot set headers on an EventSource,
-- so `?token=` is as good as the header.
local members_only = sse.auth.token { secret = secret }

local feed = sse.channel("@NAME@", { history = 1000 })

sse.get("/", sse.file "@NAME@.html")

sse.get("/events", members_only, function()
  return sse.subscribe { feed, history = 10 }
end)

-- Takes texts, JSON, forms and JSON lines, with the event's name in the header `Event`.
sse.publisher("/publish", { channel = feed, guards = members_only })
