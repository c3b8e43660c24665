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
  if name:find "[:|]" then
    options.raise(("sse.filter: argument 1 (name) may not hold ':' or '|', got %q"):format(name))
  end
  filters[name] = fn
end

local function names()
  local list = {}
  for name in pairs(filters) do
    list[#list + 1] = name
  end
  return list
end

--- The event as clients see it that want to know its channel: as the event's name, or in an envelope of JSON.
local forms = {
  event = function(event)
    return { event = event.channel, data = event.data }
  end,
  envelope = function(event)
    return { data = { channel = event.channel, event = event.event or "message", data = event.data } }
  end,
}

local function sorted_keys(object)
  local keys = {}
  for key in pairs(object) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

--- JSON in which equal values have the same text, whatever the order in which Lua walks a table.
local function canonical(value)
  local text = json.encode(value)
  if type(value) ~= "table" or next(value) == nil then
    return text
  end
  local parts, is_list = {}, text:sub(1, 1) == "["
  for index, key in ipairs(is_list and value or sorted_keys(value)) do
    parts[index] = is_list and canonical(key) or json.encode(key) .. ":" .. canonical(value[key])
  end
  return text:sub(1, 1) .. table.concat(parts, ",") .. text:sub(-1)
end

--- The arguments' text and, where it holds tables, a copy of them that the script cannot change any more.
local function freeze(arguments)
  local text = json.encode(json.array(arguments), "filter")
  for _, argument in ipairs(arguments) do
    if type(argument) == "table" then
      text = canonical(arguments)
      return text, json.decode(text)
    end
  end
  return text, arguments
end

--- Reads { "name", arguments... } or "name". The function is looked up at each call, so that subscribers go on with
--- a new version of it.
---@return string key the same for equal name and arguments
---@return fun(event: sse.Event): any
local function named(given)
  local name, arguments = given, {}
  if type(given) == "table" then
    name, arguments = given[1], { table.unpack(given, 2) }
  end
  if type(name) ~= "string" or not filters[name] then
    local nearest = type(name) == "string" and options.nearest(name, names())
    options.raise(("sse.subscribe: there is no filter '%s'%s"):format(tostring(name),
      nearest and (" (did you mean '%s'?)"):format(nearest) or "; define it with sse.filter"))
  end
  local text, frozen = freeze(arguments)
  return name .. ":" .. text, function(event)
    return filters[name](event, table.unpack(frozen))
  end
end

--- The function for a group's key, as it was made by M.resolve in a script that ran before; nil when its filter is
--- gone.
---@param key string
---@return function?
function M.for_key(key)
  local form = key:match "%](|%a+)$" or key:match "^|%a+$" or ""
  local name, list = key:sub(1, #key - #form):match "^([^:]*):(.*)$"
  if name and not filters[name] then
    return nil
  end
  local given = name and { name, table.unpack(json.decode(list)) } or nil
  local _, fn = M.resolve(given, form ~= "" and form:sub(2) or nil)
  return fn
end

--- A changed event keeps what the filter did not name.
local function merge(event, changed)
  if type(changed) ~= "table" then
    return changed and event
  end
  return { event = changed.event, data = changed.data, channel = event.channel }
end

--- The filter of a subscription, with the form in which it tells the channel. Both may be absent.
---@param given string|table|nil
---@param form "event"|"envelope"|false|nil
---@return string? key the same for equal name, arguments and form
---@return function?
function M.resolve(given, form)
  local key, fn = "", nil
  if given then
    key, fn = named(given)
  end
  local show = form and forms[form]
  if not show then
    return fn and key, fn
  end
  return key .. "|" .. form, function(event)
    local passed = not fn and event or fn and merge(event, fn(event))
    return passed and show(passed)
  end
end

return M
