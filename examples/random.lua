-- To each client its own random numbers, each at a random moment within 3 s.
-- `client:send` waits while this reader is behind: a slow client slows its own coroutine only.
--   ./dev run examples/random.lua       and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

sse.get("/", sse.file "wire.html")

sse.get("/events", function()
  return sse.stream(function(client)
    while true do
      sse.sleep(math.random() * 3)
      client:send { data = math.random(1000) }
    end
  end)
end)
