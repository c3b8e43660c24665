-- Prices every second, an alert now and then, and no gap after a lost connection: each event has
-- an id, the browser sends the last one back as Last-Event-ID, and the channel replays the rest.
--   ./dev run examples/trading.lua      and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events
--   curl -N -H 'Last-Event-ID: ID' http://127.0.0.1:8080/events      (ID: one that you have seen)

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local market = sse.channel("market", { history = 2000, max_age = "10m" })

local stocks = {
  { symbol = "ACME", price = 182.40 },
  { symbol = "HOOP", price = 47.15 },
  { symbol = "ZINC", price = 2310.00 },
}

sse.get("/", sse.file "trading.html")

sse.get("/events", function()
  return sse.subscribe { "market", history = 90, retry = "1s" }
end)

local function move(stock)
  local percent = math.random() * 4 - 2
  stock.price = math.max(1, math.floor(stock.price * (100 + percent) + 0.5) / 100)
  local update = { symbol = stock.symbol, price = stock.price, percent = percent, time = sse.now() }
  market:publish { event = "price-update", data = update }
  if math.abs(percent) > 1.9 then
    local text = ("%s %s %.1f %% in a second"):format(stock.symbol, percent > 0 and "up" or "down", math.abs(percent))
    market:publish { event = "alert", data = { text = text, time = update.time } }
  end
end

sse.every("1s", function()
  for _, stock in ipairs(stocks) do move(stock) end
end)
