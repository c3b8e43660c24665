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

--- The event's fields that stand in headers or the query: `curl -H 'Event: alert'`, or `?event=alert`.
local function named_fields(req)
  local headers, query = req.headers, req.query
  return {
    event = headers["event"] or query.event,
    id = headers["event-id"] or query.id,
    key = headers["event-key"] or query.key,
    idempotency_key = headers["idempotency-key"],
  }
end

local FIELDS = { event = "string", id = "string", key = "string", retry = "number" }

--- An object with `data` and no other fields than an event's is an event; anything else is the data.
local function event_of(value, fields)
  local event = {}
  for name, field in pairs(fields) do
    event[name] = field
  end
  local is_event = type(value) == "table" and value.data ~= nil
  for name, field in pairs(is_event and value or {}) do
    is_event = is_event and (name == "data" or name == "idempotency_key" or FIELDS[name] == type(field))
  end
  for name, field in pairs(is_event and value or { data = value }) do
    event[name] = field
  end
  return event
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
  local events, number = {}, 0
  for line in req.body:gmatch "[^\r\n]+" do
    number = number + 1
    local value, message = json.decode(line)
    if message then
      return nil, ("line %d is no JSON: %s"):format(number, message)
    end
    local event = event_of(value, fields)
    if fields.idempotency_key and event.idempotency_key == fields.idempotency_key then
      event.idempotency_key = fields.idempotency_key .. "/" .. number
    end
    events[number] = event
  end
  if number == 0 then
    return nil, "the body has no lines"
  end
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
    return { event_of(req.body, fields) }
  end
  local event = event_of(form.data, fields)
  for name in pairs(FIELDS) do
    event[name] = form[name] or event[name]
  end
  return { event }
end

local function read(req)
  local fields = named_fields(req)
  local kind = (req.headers["content-type"] or ""):match "^%s*([^;%s]*)"
  local reader = readers[kind:lower()]
  if reader then
    return reader(req, fields)
  end
  return { event_of(req.body, fields) }
end

--- What an outsider can get wrong, said before publishing would raise it as a mistake of the script.
local function problem_of(event, channel)
  for _, name in ipairs { "event", "id" } do
    local text = event[name]
    if text and text:find "[\r\n\0]" then
      return ("%s must be one line"):format(name)
    elseif text and not core.is_utf8(text) then
      return ("%s must be valid UTF-8"):format(name)
    end
  end
  if type(event.data) == "string" and not core.is_utf8(event.data) then
    return "data must be valid UTF-8"
  elseif event.idempotency_key and #event.idempotency_key > 200 then
    return "the idempotency key must have at most 200 bytes"
  elseif type(event.data) == "string" and #event.data > core.event_limit() then
    return ("data must have at most %d bytes"):format(core.event_limit())
  end
  return core.key_problem(channel, event)
end

local function publish(channel, event)
  local id, subscribers, durable, duplicate = core.publish(channel, event)
  if not id then
    return nil, subscribers
  end
  return { id = id, subscribers = subscribers, durable = durable, duplicate = duplicate or nil }
end

local function publish_all(channel, events)
  for index, event in ipairs(events) do
    local problem = problem_of(event, channel)
    if problem then
      return 400, { error = #events > 1 and ("line %d: %s"):format(index, problem) or problem }
    end
  end
  local answers = json.array {}
  for index, event in ipairs(events) do
    local answer, message = publish(channel, event)
    if not answer then
      return 503, { error = message, published = answers }, { ["Retry-After"] = "1" }
    end
    answers[index] = answer
  end
  if #events == 1 then
    return answers[1].duplicate and 200 or 201, answers[1]
  end
  return 201, { published = answers }
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
  local chain = table.move(checked.guards or {}, 1, #(checked.guards or {}), 1, {})
  chain[#chain + 1] = function(req)
    local channel = checked.channel or req.params.channel
    if type(channel) == "string" and (channel == "" or #channel > 255) then
      return 400, { error = "a channel's name has 1 to 255 bytes" }
    end
    local events, message = read(req)
    if not events then
      return 400, { error = message }
    end
    return publish_all(channel, events)
  end
  routes.add(checked.method, path, table.unpack(chain))
end

return M
