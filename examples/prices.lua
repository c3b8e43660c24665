-- The latest price of each symbol, from a program that prints JSON: who comes gets one event for each
-- symbol, then every change. The program runs only while somebody listens.
--   ./dev run examples/prices.lua       and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events
--   curl -N 'http://127.0.0.1:8080/events?symbol=ACME'

local sse = require "sse"

sse.listen "127.0.0.1:8080"

sse.channel("prices", { key = "symbol" })         -- event.data.symbol is the key

local feed = [[
  BEGIN {
    srand()
    count = split("ACME HOOP ZINC", symbols)
    price[1] = 182.40; price[2] = 47.15; price[3] = 2310.00
    for (i = 1; ; i = int(rand() * count) + 1) {
      price[i] *= 1 + (rand() - 0.5) / 50
      printf "{\"symbol\":\"%s\",\"price\":%.2f}\n", symbols[i], price[i]
      fflush()
      system("sleep 0.3")
    }
  }
]]

sse.exec({ "awk", feed }, {
  channel = "prices",
  event = "price",
  parse = "json",
  when = "subscribed",
  linger = "5s",
  env = { LC_ALL = "C" },                         -- a point in numbers, whatever the country
})

sse.filter("of_symbol", function(event, symbol) return event.data.symbol == symbol end)

sse.get("/", sse.file "wire.html")

sse.get("/events", function(req)
  local symbol = req.query.symbol
  return sse.subscribe { "prices", filter = symbol and { "of_symbol", symbol } or nil }
end)
