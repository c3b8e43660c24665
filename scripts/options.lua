-- Checks what a script hands to the library, and raises mistakes at the script's own line.

local core = require "sse.core"
local units = require "sse.units"

local M = {}

---@alias sse.options.Convert fun(value: any): any, string?

---@class sse.options.Rule
---@field type string|sse.options.Convert "string", "number", "integer", "boolean", "function", "table",
---  "duration" (becomes seconds), "size" (becomes bytes), or a function that returns the value to use, or
---  nil and what the option must be ("must be ...")
---@field default any used when the option is absent; checked and converted like a given value
---@field required boolean?
---@field min number?
---@field max number?
---@field values string[]? the only strings allowed

local function is_library(source)
  return source:sub(1, 5) == "=sse/" or source == "=[C]"
end

--- Place in the script that called the library, "feeds.lua:12"; where its own line is gone because it called with
--- `return`, or has returned already, the line where the running handler is defined. nil without any.
---@return string?
function M.position()
  local level = 2
  while true do
    local frame = debug.getinfo(level, "Sl")
    if not frame then
      return core.place and core.place():match "^(.*): $"
    elseif not is_library(frame.source) and frame.currentline > 0 then
      return frame.short_src .. ":" .. frame.currentline
    end
    level = level + 1
  end
end

--- Raises a mistake of the caller: a string that begins with the script's own "file:line:".
---@param message string
function M.raise(message)
  local place = M.position()
  error(place and place .. ": " .. message or message, 0)
end

--- A value as messages show it.
---@param value any
---@return string
function M.show(value)
  local kind = type(value)
  if kind == "number" then
    return tostring(value)
  elseif kind ~= "string" then
    return kind
  elseif #value > 40 then
    value = value:sub(1, 40) .. "..."
  end
  return '"' .. value:gsub("%c", "?") .. '"'
end

local show = M.show

local NAMES = {
  string = "a string",
  number = "a number",
  integer = "an integer",
  boolean = "true or false",
  ["function"] = "a function",
  table = "a table",
  duration = "a duration",
  size = "a size",
}

local function is_plain(kind)
  return function(value)
    if type(value) == kind then
      return value
    end
    return nil, "must be " .. NAMES[kind]
  end
end

local CONVERTERS = {
  string = is_plain "string",
  boolean = is_plain "boolean",
  ["function"] = is_plain "function",
  table = is_plain "table",
  duration = units.duration,
  size = units.size,
}

function CONVERTERS.number(value)
  if type(value) == "number" and value == value then
    return value
  end
  return nil, "must be a number"
end

function CONVERTERS.integer(value)
  local integer = type(value) == "number" and math.tointeger(value)
  if integer then
    return integer
  end
  return nil, "must be an integer"
end

local function bounds_of(rule)
  local name = NAMES[rule.type] or "a number"
  if rule.min and rule.max then
    return ("must be %s from %s to %s"):format(name, rule.min, rule.max)
  elseif rule.min then
    return ("must be %s of at least %s"):format(name, rule.min)
  end
  return ("must be %s of at most %s"):format(name, rule.max)
end

local function is_listed(list, wanted)
  for _, value in ipairs(list) do
    if value == wanted then
      return true
    end
  end
  return false
end

--- The value as the library uses it, or nil and what it must be.
local function convert(rule, value)
  local converter = CONVERTERS[rule.type] or rule.type
  local converted, expected = converter(value)
  if converted == nil then
    local is_number = rule.type == "number" or rule.type == "integer"
    return nil, (rule.min or rule.max) and is_number and bounds_of(rule) or expected
  end
  if rule.min and converted < rule.min or rule.max and converted > rule.max then
    return nil, bounds_of(rule)
  elseif rule.values and not is_listed(rule.values, converted) then
    return nil, 'must be one of "' .. table.concat(rule.values, '", "') .. '"'
  end
  return converted
end

--- Checks a positional argument; gives it back converted.
---@param what string function as the script calls it, "sse.every"
---@param index integer
---@param name string
---@param value any
---@param rule string|sse.options.Rule a rule, or the name of a type
---@return any
function M.argument(what, index, name, value, rule)
  if type(rule) ~= "table" then
    rule = { type = rule }
  end
  if value == nil and rule.default ~= nil then
    value = rule.default
  end
  local converted, expected = convert(rule, value)
  if converted == nil then
    M.raise(("%s: argument %d (%s) %s, got %s"):format(what, index, name, expected, show(value)))
  end
  return converted
end

--- One more row of the edit distance between `a` and `b`, where two swapped neighbours are one edit.
local function next_row(a, b, i, previous, before)
  local row = { [0] = i }
  local letter = a:byte(i)
  for j = 1, #b do
    local change = letter == b:byte(j) and 0 or 1
    row[j] = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + change)
    if i > 1 and j > 1 and letter == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
      row[j] = math.min(row[j], before[j - 2] + 1)
    end
  end
  return row
end

local function distance(a, b)
  local before, previous = nil, {}
  for j = 0, #b do
    previous[j] = j
  end
  for i = 1, #a do
    before, previous = previous, next_row(a, b, i, previous, before)
  end
  return previous[#b]
end

--- The name of `names` that `given` most likely means, or nil when none is near.
---@param given string
---@param names string[]
---@return string?
function M.nearest(given, names)
  local wanted = given:sub(1, 60):lower()
  local best, best_distance = nil, math.max(1, (#wanted + 1) // 3) + 1
  for _, name in ipairs(names) do
    local edits = distance(wanted, name:lower())
    if edits < best_distance then
      best, best_distance = name, edits
    end
  end
  return best
end

local function names_of(rules)
  local names = {}
  for name in pairs(rules) do
    if name ~= "..." then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function raise_unknown(what, given, rules)
  local names = names_of(rules)
  local known = "known options: " .. table.concat(names, ", ")
  if #names == 0 then
    known = "it takes no named options"
  end
  if type(given) ~= "string" then
    M.raise(("%s: options have names, got the key %s (%s)"):format(what, show(given), known))
  end
  local near = M.nearest(given, names)
  local hint = near and ("did you mean '%s'?"):format(near) or known
  M.raise(("%s: unknown option '%s' (%s)"):format(what, show(given):sub(2, -2), hint))
end

local function rule_for(rules, name)
  return rules[name] or (math.type(name) == "integer" and rules["..."]) or nil
end

local function take(what, name, rule, value)
  local converted, expected = convert(rule, value)
  if converted == nil then
    local label = type(name) == "string" and "option '" .. name .. "'" or "item " .. name
    M.raise(("%s: %s %s, got %s"):format(what, label, expected, show(value)))
  end
  return converted
end

local NONE = {}

local expected = setmetatable({}, { __mode = "k" })

--- Those of the rules that say something of an absent option. Found once: some options are checked for each request.
local function expected_by(rules)
  local found = expected[rules]
  if not found then
    found = {}
    for name, rule in pairs(rules) do
      found[name] = (rule.default ~= nil or rule.required) and rule or nil
    end
    expected[rules] = found
  end
  return found
end

--- Checks a table of options and gives back a new one, converted and with defaults.
--- The rule named "..." holds for list items, as in `sse.subscribe { "news", "stock" }`.
---@param what string function as the script calls it, "sse.channel"
---@param given table? nil is an empty table
---@param rules table<string, sse.options.Rule>
---@return table
function M.check(what, given, rules)
  if given ~= nil and type(given) ~= "table" then
    M.raise(("%s: options must be a table, got %s"):format(what, show(given)))
  end
  local checked = {}
  for name, value in pairs(given or NONE) do
    local rule = rule_for(rules, name)
    if not rule then
      raise_unknown(what, name, rules)
    end
    checked[name] = take(what, name, rule, value)
  end
  for name, rule in pairs(expected_by(rules)) do
    if checked[name] == nil and rule.default ~= nil then
      checked[name] = take(what, name, rule, rule.default)
    elseif checked[name] == nil then
      M.raise(("%s: option '%s' is missing"):format(what, name))
    end
  end
  return checked
end

return M
