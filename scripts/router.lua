-- Finds the route of a request: a tree of path segments, so the cost is the depth of the path and not
-- the number of routes. At each segment a literal goes before a parameter, and that before the rest.
--
-- Segments are compared after percent-decoding, each by itself: %2F never splits a segment. A trailing
-- slash counts: "/a" and "/a/" are two paths.

local options = require "sse.options"

local M = {}

---@class sse.router
---@field private root table
---@field private entries table[]
local Router = {}
Router.__index = Router

-- A node holds `literals` (segment to node), `parameter` (node), `rest` (node, always a leaf) and
-- `methods` (method to entry). An entry is { method, pattern, route, names, place }.

local function new_node()
  return { literals = {}, methods = nil, parameter = nil, rest = nil }
end

---@return sse.router
function M.new()
  return setmetatable({ root = new_node(), entries = {} }, Router)
end

--- Text with its percent sequences decoded; nil when one is malformed or text holds NUL.
---@param text string
---@return string?
function M.percent_decode(text)
  if text:find("%", 1, true) then
    if text:gsub("%%%x%x", ""):find("%", 1, true) then
      return nil
    end
    text = text:gsub("%%(%x%x)", function(digits)
      return string.char(tonumber(digits, 16))
    end)
  end
  if text:find("\0", 1, true) then
    return nil
  end
  return text
end

--- Segments of a path that begins with a slash, and their number; none of any other.
local function split(path)
  local segments, count = {}, 0
  if path:sub(1, 1) ~= "/" then
    return segments, count
  end
  for segment in path:gmatch "/([^/]*)" do
    count = count + 1
    segments[count] = segment
  end
  return segments, count
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
  local segments, count = split(pattern)
  local seen = {}
  for index, segment in ipairs(segments) do
    local sign, name = segment:match "^([:*])(.*)$"
    if sign and not name:find "^[%a_][%w_]*$" then
      refuse(pattern, ("'%s' needs a name of letters, digits and '_'"):format(segment))
    elseif sign and seen[name] then
      refuse(pattern, ("the name '%s' is there twice"):format(name))
    elseif sign == "*" and index < count then
      refuse(pattern, ("'%s' takes the rest of the path and must come last"):format(segment))
    end
    if sign then
      seen[name] = true
    end
    segments[index] = { kind = sign or "literal", name = name or segment }
  end
  return segments
end

--- The node for a pattern's segments, made where it is missing, and the names of its parameters.
local function grow(node, segments)
  local names = {}
  for _, segment in ipairs(segments) do
    if segment.kind == "literal" then
      node.literals[segment.name] = node.literals[segment.name] or new_node()
      node = node.literals[segment.name]
    else
      names[#names + 1] = segment.name
      local field = segment.kind == ":" and "parameter" or "rest"
      node[field] = node[field] or new_node()
      node = node[field]
    end
  end
  return node, names
end

--- Adds a route. The same method and pattern twice (whatever the parameters' names) is a mistake.
---@param method string "GET", ... or "ANY"
---@param pattern string literal segments, ":name", and at the end "*name" for the rest, slashes and all
---@param route any what `match` gives back; not nil
function Router:add(method, pattern, route)
  local node, names = grow(self.root, parse(pattern))
  node.methods = node.methods or {}
  local place = options.position()
  local other = node.methods[method]
  if other then
    refuse(pattern, ("%s %s is already defined%s"):format(
      method, other.pattern, other.place and " at " .. other.place or ""))
  end
  local entry = { method = method, pattern = pattern, route = route, names = names, place = place }
  node.methods[method] = entry
  self.entries[#self.entries + 1] = entry
end

--- The entry of a node for the method of a search; notes what the node allows.
local function entry_of(search, node)
  local methods = node.methods
  local method = search.method
  local entry = methods[method] or method == "HEAD" and methods.GET or methods.ANY
  if not entry then
    for name in pairs(methods) do
      search.allowed[name] = true
    end
  end
  return entry
end

--- Entry for the segments from `index` on, with the values of its parameters in `search.values`.
local function descend(search, node, index, depth)
  local segment = search.segments[index]
  if not segment then
    return node.methods and entry_of(search, node)
  end
  local literal = node.literals[segment]
  local entry = literal and descend(search, literal, index + 1, depth)
  if not entry and node.parameter and segment ~= "" then
    search.values[depth + 1] = segment
    entry = descend(search, node.parameter, index + 1, depth + 1)
  end
  if not entry and node.rest then
    entry = entry_of(search, node.rest)
    if entry then
      search.values[depth + 1] = table.concat(search.segments, "/", index)
    end
  end
  return entry
end

local function allow_of(allowed)
  if allowed.GET then
    allowed.HEAD = true
  end
  allowed.OPTIONS = true
  local names = {}
  for name in pairs(allowed) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, ", ")
end

--- Finds the route of a request.
---@param method string HEAD falls back on GET, and every method on "ANY"
---@param path string as sent: encoded, without the query
---@return any route nil when there is none
---@return table<string, string>|integer params or the status: 400 malformed, 404 no such path, 405 not with this method
---@return string? allow with 405, what the Allow header says
function Router:match(method, path)
  local segments, count = split(path)
  for index, segment in ipairs(segments) do
    local decoded = M.percent_decode(segment)
    if not decoded then
      return nil, 400
    end
    segments[index] = decoded
  end
  local search = { method = method, segments = segments, values = {}, allowed = {} }
  local entry = count > 0 and descend(search, self.root, 1, 0)
  if entry then
    local params = {}
    for index, name in ipairs(entry.names) do
      params[name] = search.values[index]
    end
    return entry.route, params
  elseif next(search.allowed) then
    return nil, 405, allow_of(search.allowed)
  end
  return nil, 404
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
