-- A wall of facts: whoever listens gets all facts so far as one JSON array, then each new one.
--   ./dev run examples/facts.lua        and open http://127.0.0.1:8080/
--   curl -N http://127.0.0.1:8080/events
--   curl -d '{"fact": "Honey never spoils.", "source": "a beekeeper"}' http://127.0.0.1:8080/fact

local sse = require "sse"

sse.listen "127.0.0.1:8080"
sse.cors "*"                                      -- pages of other sites may listen and post

local channel = sse.channel "facts"
local facts = sse.array {}                        -- a list, so that no facts at all are [] and not {}

local function is_text(value)
  return type(value) == "string" and value:find "%S" and #value <= 500
end

sse.get("/", sse.file "facts.html")

sse.get("/events", function(req)
  if req.last_event_id then return channel end    -- a browser that comes back: only what it missed
  return sse.subscribe { "facts", first = { { data = facts } } }
end)

sse.post("/fact", function(req)
  local body, problem = req:json()
  if type(body) ~= "table" or not is_text(body.fact) or not is_text(body.source) then
    return 400, { error = problem or "fact and source must be texts of 1 to 500 bytes" }
  end
  local fact = { fact = body.fact, source = body.source }
  table.insert(facts, fact)
  if #facts > 1000 then table.remove(facts, 1) end
  channel:publish { data = fact }
  return 201, fact
end)

sse.get("/status", function() return { clients = channel.subscribers } end)
