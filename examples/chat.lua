-- A chat room: POST in, SSE out. Who comes reads the last 50 messages, then each new one, and how many are here.
--   ./dev run examples/chat.lua         and open http://127.0.0.1:8080/ in two windows
--   curl -N http://127.0.0.1:8080/events
--   curl -d '{"name": "Ada", "text": "Hello!"}' http://127.0.0.1:8080/messages

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local chat = sse.channel("chat", { history = 50, max_age = "1d" })
local people = sse.channel("people", { history = 1 })

local function is_text(value, longest)
  return type(value) == "string" and value:find "%S" and #value <= longest
end

sse.get("/", sse.file "chat.html")

sse.get("/events", function()
  return sse.subscribe { "chat", "people", start = "earliest", retry = "1s" }
end)

sse.post("/messages", function(req)
  local body, problem = req:json()
  if type(body) ~= "table" or not is_text(body.name, 80) or not is_text(body.text, 2000) then
    return 400, { error = problem or "wanted: a name of 1 to 80 bytes and a text of 1 to 2000" }
  end
  local message = { name = body.name, text = body.text, time = sse.now() }
  chat:publish { data = message }
  return 201, message
end)

-- Told at most twice a second, however many come and go.
local told = 0
sse.every("500ms", function()
  if people.subscribers ~= told then
    told = people.subscribers
    people:publish { event = "people", data = { here = told } }
  end
end)
