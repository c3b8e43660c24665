-- The routes of a script: checks their patterns, and says which route answers a request. The core has the tree that
-- finds it (src/core/route.h).

local core = require "sse.core"
local options = require "sse.options"

local M = {}

---@class sse.router
---@field handle userdata the core's tree
---@field private entries table[]
local Router = {}
Router.__index = Router

---@return sse.router
function M.new()
  return setmetatable({ handle = core.router(), entries = {} }, Router)
end

local function refuse(pattern, reason)
  options.raise(("route '%s': %s"):format(pattern, reason))
end

--- Checks a pattern; its segments as { kind, name }.
local function parse(pattern)
  if type(pattern) ~= "string" then
    options.raise("a route's pattern must be a string, got " .. type(pattern))
  elseif pattern:sub(1, 1) ~= "/" then
    refuse(pattern, "a pattern must begin with '/'")
  elseif pattern:find "[?#]" then
    refuse(pattern, "a pattern has no query; the handler finds it in req.query")
  elseif pattern:find "%%%x%x" then
    refuse(pattern, "a pattern is written decoded, without %XX")
  end
  local segments = {}
  for segment in pattern:gmatch "/([^/]*)" do
    segments[#segments + 1] = segment
  end
  local seen = {}
  for index, segment in ipairs(segments) do
    local sign, name = segment:match "^([:*])(.*)$"
    if sign and not name:find "^[%a_][%w_]*$" then
      refuse(pattern, ("'%s' needs a name of letters, digits and '_'"):format(segment))
    elseif sign and seen[name] then
      refuse(pattern, ("the name '%s' is there twice"):format(name))
    elseif sign == "*" and index < #segments then
      refuse(pattern, ("'%s' takes the rest of the path and must come last"):format(segment))
    end
    if sign then
      seen[name] = true
    end
    segments[index] = { kind = sign or "literal", name = name or segment }
  end
  return segments
end

--- Adds a route. The same method and pattern twice (whatever the parameters' names) is a mistake.
---@param method string "GET", ... or "ANY"
---@param pattern string literal segments, ":name", and at the end "*name" for the rest, slashes and all
---@param route table what `match` gives back
function Router:add(method, pattern, route)
  local place = options.position()
  local entry = { method = method, pattern = pattern, route = route, place = place }
  local there = self.handle:add(method, parse(pattern), route)
  if there then
    local other = self:entry_of(there)
    refuse(pattern, ("%s %s is already defined%s"):format(
      method, other.pattern, other.place and " at " .. other.place or ""))
  end
  self.entries[#self.entries + 1] = entry
end

---@private
function Router:entry_of(route)
  for _, entry in ipairs(self.entries) do
    if entry.route == route then
      return entry
    end
  end
end

--- Finds the route of a request.
---@param method string HEAD falls back on GET, and every method on "ANY"
---@param path string as sent: encoded, without the query
---@return any route nil when there is none
---@return table<string, string>|integer params or the status: 400 malformed, 404 no such path, 405 not with this method
---@return string? allow with 405, what the Allow header says
function Router:match(method, path)
  return self.handle:match(method, path)
end

---@class sse.router.Entry
---@field method string
---@field pattern string
---@field route any
---@field place string? where the script defined it

--- All routes, sorted by pattern and method.
---@return sse.router.Entry[]
function Router:list()
  local list = {}
  for index, entry in ipairs(self.entries) do
    list[index] = { method = entry.method, pattern = entry.pattern, route = entry.route, place = entry.place }
  end
  table.sort(list, function(a, b)
    if a.pattern ~= b.pattern then
      return a.pattern < b.pattern
    end
    return a.method < b.method
  end)
  return list
end

return M
