-- What handlers and guards return, made into responses.

local json = require "sse.json"
local options = require "sse.options"
local stream = require "sse.stream"
local subscription = require "sse.subscription"

local M = {}

local REASONS = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [409] = "Conflict", [410] = "Gone", [413] = "Content Too Large",
  [429] = "Too Many Requests", [500] = "Internal Server Error", [501] = "Not Implemented",
  [503] = "Service Unavailable",
}

local function is_channel(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  return meta and meta.__name == "sse.channel"
end

local function is_description(value)
  local class = type(value) == "table" and getmetatable(value)
  return class and (class == subscription.class or class == stream.class)
end

--- The stream that a handler's first result starts, or nil.
---@param value any
---@return sse.Subscription|sse.Stream|nil
function M.stream_of(value)
  if is_channel(value) then
    return subscription.new { value }
  end
  return is_description(value) and value or nil
end

local function has(headers, wanted)
  for name in pairs(headers) do
    if type(name) == "string" and name:lower() == wanted then
      return true
    end
  end
  return false
end

--- Puts a handler's headers over the router's, whose names may be written in other letters. What answers vary with
--- is what both say.
local function merge(headers, own)
  local names = {}
  for name in pairs(headers) do
    names[name:lower()] = name
  end
  for name, value in pairs(own) do
    local lower = type(name) == "string" and name:lower()
    local there = names[lower]
    if there and lower == "vary" then
      value = headers[there] .. ", " .. (type(value) == "table" and table.concat(value, ", ") or value)
    end
    if there then
      headers[there] = nil
    end
    headers[name] = value
  end
end

--- The body as bytes (or a file), with its type added to the headers when they name none.
local function encode(status, body, headers)
  local kind
  if status == 205 then
    return nil -- it has no content (RFC 9110, 15.3.6)
  end
  if is_channel(body) or is_description(body) then
    options.raise "a stream must be a handler's only result"
  elseif type(body) == "table" and body.file then
    return body
  elseif type(body) == "table" then
    body, kind = json.encode(body, "response"), "application/json"
  elseif type(body) == "string" then
    kind = "text/plain; charset=utf-8"
  elseif body == nil and status >= 400 then
    body, kind = ("%d %s\n"):format(status, REASONS[status] or "Error"), "text/plain; charset=utf-8"
  elseif body ~= nil then
    options.raise(("a handler's body must be a string or a table, got %s"):format(type(body)))
  end
  if kind and not has(headers, "content-type") then
    headers["Content-Type"] = kind
  end
  return body
end

--- Sorts `body` and `status, body, headers`.
local function sort(first, second, third)
  if math.type(first) == "integer" then
    if first < 200 or first > 599 then
      options.raise(("a handler's status must be from 200 to 599, got %d"):format(first))
    end
    return first, second, third
  elseif first == nil and second ~= nil then
    options.raise(("a handler returned nil and %q: return a status, or raise an error"):format(tostring(second)))
  elseif first == nil then
    return 204
  end
  return 200, first, second
end

--- Answers the request with a handler's results.
---@param req sse.Request
---@param headers table headers that every answer gets; changed
function M.send(req, headers, ...)
  local status, body, own = sort(...)
  if own ~= nil and type(own) ~= "table" then
    options.raise(("a handler's headers must be a table, got %s"):format(type(own)))
  end
  if own then
    merge(headers, own)
  end
  req.handle:respond(status, headers, encode(status, body, headers))
end

return M
