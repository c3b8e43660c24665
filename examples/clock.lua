-- A stream of one's own: each client has a coroutine that greets it, then tells the time every 3 s.
-- When the client leaves, the coroutine ends where it waits, and the deferred clean-up runs.
--   ./dev run examples/clock.lua        and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

sse.get("/", sse.file "wire.html")

sse.get("/events", function(req)
  return sse.stream(function(client)
    local came = sse.now()
    local _ <close> = sse.defer(function()
      sse.log.info(("%s left after %.0f s"):format(req.ip, sse.now() - came))
    end)
    client:send { event = "hello", data = "Hello, " .. req.ip .. ". The time follows every 3 seconds." }
    while true do
      client:send { data = os.date "!%Y-%m-%dT%H:%M:%SZ" }
      sse.sleep "3s"
    end
  end)
end)
