-- This machine's CPU and memory every 2 s; the page draws them as moving lines.
-- The channel keeps two minutes, so that a page that opens now has full lines at once.
--   ./dev run examples/metrics.lua      and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local metrics = sse.channel("metrics", { history = 60, max_age = "2m" })

sse.get("/", sse.file "metrics.html")

sse.get("/events", function()
  return sse.subscribe { "metrics", history = 60, retry = "2s" }
end)

sse.every("2s", function()
  local system = sse.system()
  system.time = sse.now()
  metrics:publish { data = system }
end)
