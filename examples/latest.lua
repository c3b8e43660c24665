-- One connection, many channels: the client names the types it wants, each event bears its type.
--   ./dev run examples/latest.lua       and open http://127.0.0.1:8080/
--   curl -N 'http://127.0.0.1:8080/latest?type=news,weather,stock'
--   curl -N http://127.0.0.1:8080/latest/news

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local function pick(list) return list[math.random(#list)] end

local types = sse.array { "news", "weather", "stock" }
local make = {
  news = function() return { headline = pick { "Bridge reopens", "Comet seen at dawn", "Library stays open" } } end,
  weather = function() return { city = pick { "Oslo", "Lima", "Pune" }, celsius = math.random(-5, 35) } end,
  stock = function() return { symbol = pick { "ACME", "HOOP", "ZINC" }, price = math.random(1000, 9999) / 100 } end,
}

local function listen(names)
  return sse.subscribe { channels = names, history = 10, retry = "3s" }
end

sse.get("/wire", sse.file "wire.html")
sse.get("/", function() return 302, nil, { Location = "/wire#/latest?type=news,stock" } end)

sse.get("/latest", function(req)
  local wanted = sse.split(req.query.type or "")
  for _, name in ipairs(wanted) do
    if not make[name] then return 400, { error = "unknown type: " .. name, known = types } end
  end
  return listen(#wanted > 0 and wanted or types)
end)

for _, name in ipairs(types) do
  local channel = sse.channel(name)
  sse.get("/latest/" .. name, function() return listen { name } end)
  sse.every(math.random(2, 4), function() channel:publish { event = name, data = make[name]() } end)
end
