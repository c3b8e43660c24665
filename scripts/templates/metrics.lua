-- @NAME@: numbers, measured every two seconds.
--   sse-router --watch @NAME@.lua       and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

-- Five minutes of numbers: a page that opens now knows the past at once.
local metrics = sse.channel("@NAME@", { history = 150, max_age = "5m" })

sse.get("/", sse.file "@NAME@.html")

sse.get("/events", function()
  return sse.subscribe { metrics, history = 150 }
end)

-- Put your own numbers here; sse.system() knows this machine's.
sse.every("2s", function()
  local system = sse.system()
  metrics:publish {
    data = {
      time = sse.now(),
      cpu = system.cpu,
      memory = system.memory_used / system.memory_total,
      load = system.load1,
    },
  }
end)
