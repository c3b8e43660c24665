-- What handlers see of a request: a table whose fields are computed when they are first read.

local core = require "sse.core"
local json = require "sse.json"

local M = {}

---@class sse.Request
---@field method string
---@field path string decoded; use `params` for its parts
---@field params table<string, string> of the route's pattern
---@field query table<string, string> the first value of each key
---@field query_all table<string, string[]> all values of each key
---@field headers table<string, string> by lower-case name
---@field cookies table<string, string>
---@field body string
---@field ip string of the peer; "unix" on a local socket
---@field last_event_id string? of the header, else of ?last_event_id= or ?lastEventId=
---@field claims table? what a guard of sse.auth has found
local Request = {}

local fields = {}

function fields.method(req)
  return req.handle:method()
end

function fields.ip(req)
  return req.handle:address()
end

function fields.raw_path(req)
  local path, query = req.handle:target()
  req.raw_query = query
  return path
end

function fields.raw_query(req)
  return (select(2, req.handle:target()))
end

function fields.path(req)
  return core.decode_uri(req.raw_path) or req.raw_path
end

function fields.query(req)
  local first, all = core.parse_query(req.raw_query)
  req.query_all = all
  return first
end

function fields.query_all(req)
  local first, all = core.parse_query(req.raw_query)
  req.query = first
  return all
end

function fields.headers(req)
  return req.handle:headers()
end

function fields.body(req)
  return req.handle:body()
end

--- Cookie pairs; a value may stand in quotes (RFC 6265, 5.4). Of repeated ones the first counts.
function fields.cookies(req)
  local cookies = {}
  for pair in (req.handle:header "cookie" or ""):gmatch "[^;]+" do
    local name, value = pair:match "^%s*([^=%s]+)=(.*)$"
    if name and not cookies[name] then
      value = value:match "^.*%S" or "" -- "^(.-)%s*$" would take the square of the length
      cookies[name] = value:match '^"(.*)"$' or value
    end
  end
  return cookies
end

function fields.last_event_id(req)
  return (req.handle:start())
end

function Request.__index(req, name)
  local method = Request[name]
  if method then
    return method
  end
  local compute = fields[name]
  local value = compute and compute(req)
  if value ~= nil then
    rawset(req, name, value)
  end
  return value
end

--- The body as JSON.
---@return any value nil when it is not valid
---@return string? message
function Request:json()
  return json.decode(self.body)
end

--- The body as a form (application/x-www-form-urlencoded).
---@return table<string, string> first value of each key
---@return table<string, string[]> all values
function Request:form()
  return core.parse_query(self.body)
end

---@param handle userdata the core's request
---@param params table<string, string>?
---@return sse.Request
function M.new(handle, params)
  return setmetatable({ handle = handle, params = params or {} }, Request)
end

return M
