-- What a team does, as it happens: the last 10 first, then each new one, all of them or one type.
-- A named filter runs once for each event and type, however many thousands listen.
--   ./dev run examples/activity.lua     and open http://127.0.0.1:8080/
--   curl -N 'http://127.0.0.1:8080/api/activity-feed?type=comment'
--   curl -d '{"type": "comment", "user": "Ada", "text": "Nice!"}' http://127.0.0.1:8080/api/activity

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local types = sse.array { "comment", "commit", "deploy", "signup" }
local known = {}
for _, name in ipairs(types) do known[name] = true end

local activity = sse.channel("activity", { history = 1000 })

sse.filter("of_type", function(event, wanted) return event.data.type == wanted end)

sse.get("/", sse.file "activity.html")

sse.get("/api/activity-feed", function(req)
  local wanted = req.query.type or ""
  local filter = wanted ~= "" and { "of_type", wanted } or nil
  if filter and not known[wanted] then return 400, { error = "unknown type: " .. wanted, known = types } end
  return sse.subscribe { "activity", history = 10, filter = filter }
end)

local function is_text(value)
  return type(value) == "string" and value:find "%S" and #value <= 500
end

sse.post("/api/activity", function(req)
  local body, problem = req:json()
  if type(body) ~= "table" or not known[body.type] or not is_text(body.user) or not is_text(body.text) then
    return 400, { error = problem or "wanted: a known type, user and text of 1 to 500 bytes", known = types }
  end
  local entry = { type = body.type, user = body.user, text = body.text, time = sse.now() }
  activity:publish { data = entry }
  return 201, entry
end)
