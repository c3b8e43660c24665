-- Named filters: one verdict for each event and each group of subscribers with equal arguments.

local json = require "sse.json"
local options = require "sse.options"

local M = {}

local filters = {}

--- Defines the filter of that name. It is called with an event and the subscription's arguments, and says
--- whether the event passes. One that fails lets nothing through.
---@param name string
---@param fn fun(event: sse.Event, ...): any
function M.define(name, fn)
  options.argument("sse.filter", 1, "name", name, "string")
  options.argument("sse.filter", 2, "filter", fn, "function")
  filters[name] = fn
end

local function names()
  local list = {}
  for name in pairs(filters) do
    list[#list + 1] = name
  end
  return list
end

--- Reads { "name", arguments... } or "name". The function is looked up at each call, so that subscribers go
--- on with a new version of it.
---@param given string|table
---@return string key the same for equal name and arguments
---@return function
function M.resolve(given)
  local name, arguments = given, {}
  if type(given) == "table" then
    name, arguments = given[1], { table.unpack(given, 2) }
  end
  if type(name) ~= "string" or not filters[name] then
    local nearest = type(name) == "string" and options.nearest(name, names())
    options.raise(("sse.subscribe: there is no filter '%s'%s"):format(tostring(name),
      nearest and (" (did you mean '%s'?)"):format(nearest) or "; define it with sse.filter"))
  end
  local key = name .. ":" .. json.encode(json.array(arguments), "filter")
  return key, function(event)
    return filters[name](event, table.unpack(arguments))
  end
end

return M
