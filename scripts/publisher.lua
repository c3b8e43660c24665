-- sse.publisher: a ready-made endpoint to publish with curl or from any backend.

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"
local routes = require "sse.routes"

local M = {}

local function guard_list(value)
  if type(value) == "function" then
    return { value }
  elseif type(value) == "table" then
    return value
  end
  return nil, "must be a function or a list of functions"
end

local function channel_rule(value)
  if type(value) == "string" or type(value) == "userdata" then
    return value
  end
  return nil, "must be a channel or its name"
end

local RULES = {
  channel = { type = channel_rule },
  guards = { type = guard_list },
  method = { type = "string", values = { "POST", "PUT" }, default = "POST" },
}

-- Reading

--- The first text that says something: an empty header or parameter is none.
local function first_of(...)
  for index = 1, select("#", ...) do
    local text = select(index, ...)
    if text and text ~= "" then
      return text
    end
  end
end

--- The event's fields that stand in headers or the query: `curl -H 'Event: alert'`, or `?event=alert`.
local function named_fields(req)
  local headers, query = req.headers, req.query
  return {
    event = first_of(headers["event"], query.event),
    id = first_of(headers["event-id"], query.id),
    key = first_of(headers["event-key"], query.key),
    idempotency_key = first_of(headers["idempotency-key"]),
  }
end

local TEXT = { string = true }
local TEXT_OR_NUMBER = { string = true, number = true }

--- The fields that make an object with `data` an event, and their types.
local FIELDS = {
  event = TEXT,
  id = TEXT_OR_NUMBER,
  key = TEXT_OR_NUMBER,
  retry = TEXT_OR_NUMBER,
  idempotency_key = TEXT,
}

local function is_event(value)
  if type(value) ~= "table" or value.data == nil then
    return false
  end
  for name, field in pairs(value) do
    if name ~= "data" and not (FIELDS[name] and FIELDS[name][type(field)]) then
      return false
    end
  end
  return true
end

--- The fields with those of `more` over them.
local function merge(fields, more)
  local event = {}
  for _, from in ipairs { fields, more } do
    for name, field in pairs(from) do
      event[name] = field
    end
  end
  return event
end

--- An object with `data` and no other fields than an event's is an event; anything else is the data.
local function event_of(value, fields)
  return merge(fields, is_event(value) and value or { data = value })
end

local readers = {}

readers["application/json"] = function(req, fields)
  local value, message = json.decode(req.body)
  if message then
    return nil, "the body is no JSON: " .. message
  end
  return { event_of(value, fields) }
end

--- One JSON value a line. With an Idempotency-Key, each line has its own: the key and the line's number.
local function read_lines(req, fields)
  local events, places, place = { is_batch = true }, {}, 0
  for line in req.body:gmatch "([^\n]*)\n?" do
    place = place + 1
    if line:find "%S" then
      local value, message = json.decode(line)
      if message then
        return nil, ("line %d is no JSON: %s"):format(place, message)
      end
      local number, event = #events + 1, event_of(value, fields)
      if fields.idempotency_key and event.idempotency_key == fields.idempotency_key then
        event.idempotency_key = fields.idempotency_key .. "/" .. number
      end
      events[number], places[number] = event, place
    end
  end
  if #events == 0 then
    return nil, "the body has no lines"
  end
  events.places = places -- their lines in the body, of which some may be empty
  return events
end

readers["application/x-ndjson"] = read_lines
readers["application/jsonl"] = read_lines
readers["application/json-lines"] = read_lines

--- A form that has the field `data` is an event. curl -d sends this type whatever the body is, so other bodies are
--- taken as they are.
readers["application/x-www-form-urlencoded"] = function(req, fields)
  local form = req:form()
  if not form.data then
    return { merge(fields, { data = req.body }) }
  end
  local event = { data = form.data }
  for name in pairs(FIELDS) do
    event[name] = first_of(form[name])
  end
  return { merge(fields, event) }
end

local function read(req)
  local fields = named_fields(req)
  local kind = (req.headers["content-type"] or ""):match "^%s*([^;%s]*)"
  local reader = readers[kind:lower()]
  if reader then
    return reader(req, fields)
  end
  return { merge(fields, { data = req.body }) }
end

-- Publishing

--- What an outsider got wrong, and the status that says so. Checked before anything is published.
local function problem_of(channel, event)
  local ok, problem, status = pcall(core.event_problem, channel, event)
  if not ok then
    -- The place in the script, and the traceback, are nothing for outsiders.
    problem, status = tostring(problem):gsub("^[^\n]-:%d+: ", ""):match "^[^\n]*", 400
  end
  return problem, status
end

--- The answer as an outsider sees it, or nil and why there is none.
local function answer_of(id, subscribers, durable, duplicate)
  if not id then
    return nil, subscribers
  end
  return { id = id, subscribers = subscribers, durable = durable, duplicate = duplicate or nil }
end

local function unavailable(message, published)
  return 503, { error = message, published = published }, { ["Retry-After"] = "1" }
end

local function publish_one(channel, event)
  local problem, status = problem_of(channel, event)
  if problem then
    return status, { error = problem }
  end
  local answer, message = answer_of(core.publish(channel, event))
  if not answer then
    return unavailable(message)
  end
  return answer.duplicate and 200 or 201, answer
end

--- All go to the disk together.
local function publish_batch(channel, events)
  for index, event in ipairs(events) do
    local problem, status = problem_of(channel, event)
    if problem then
      return status, { error = ("line %d: %s"):format(events.places[index], problem) }
    end
  end
  local begun, published = {}, json.array {}
  for index, event in ipairs(events) do
    begun[index] = table.pack(core.publish_later(channel, event))
  end
  local failure
  for index, results in ipairs(begun) do
    if type(results[1]) == "userdata" then
      results = table.pack(core.publish_result(results[1]))
    end
    local answer, message = answer_of(table.unpack(results, 1, results.n))
    published[index] = answer or { error = message }
    failure = failure or message
  end
  if failure then
    return unavailable(failure, published)
  end
  return 201, { published = published }
end

--- Makes an endpoint that publishes what is sent to it. The path has a parameter `:channel` unless `channel` says
--- which one. The body is the data as it is, JSON, a form, or JSON lines (application/x-ndjson), by its type.
---@param path string
---@param given { channel: any, guards: function|function[]|nil, method: string? }?
function M.route(path, given)
  options.argument("sse.publisher", 1, "path", path, "string")
  local checked = options.check("sse.publisher", given, RULES)
  if not checked.channel and not path:find ":channel" then
    options.raise 'sse.publisher: name a channel, or write a path with the parameter ":channel"'
  end
  local function handler(req)
    local channel = checked.channel or req.params.channel
    if type(channel) == "string" and (channel == "" or #channel > 255) then
      return 400, { error = "a channel's name has 1 to 255 bytes" }
    elseif type(channel) == "string" and core.is_pattern(channel) then
      return 400, { error = "this is a pattern, and a channel is expected" }
    end
    local events, message = read(req)
    if not events then
      return 400, { error = message }
    elseif events.is_batch then
      return publish_batch(channel, events)
    end
    return publish_one(channel, events[1])
  end
  local fixed = type(checked.channel) == "userdata" and checked.channel.name or checked.channel
  routes.add_publisher(checked.method, path, checked.guards or {}, handler, fixed or true)
end

return M
