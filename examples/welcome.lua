-- Ten messages, one a second, then the end. The end of a stream means "later": the browser comes
-- back after `retry`, here 5 s. (To say "never again", answer a returning browser with 204.)
--   ./dev run examples/welcome.lua      and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

sse.get("/", sse.file "wire.html")

sse.get("/events", function()
  return sse.stream(function(client)
    for number = 1, 10 do
      if number > 1 then sse.sleep "1s" end
      client:send { event = "welcome", data = { number = number, text = "Welcome!" } }
    end
  end, { retry = "5s" })
end)
