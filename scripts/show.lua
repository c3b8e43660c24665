-- Values as the prompt shows them: tables with their fields, to a depth; nothing that would move a terminal's cursor.

local core = require "sse.core"
local json = require "sse.json"

local M = {}

local DEPTH = 4
local FIELDS = 40 -- of one table
local WIDTH = 76
local LONGEST = 400 -- bytes of a text inside a table

--- Escapes what is not UTF-8, and C1 controls, which some terminals obey.
local function escape_high(text)
  if not core.is_utf8(text) then
    return (text:gsub("[\x80-\xff]", function(byte)
      return ("\\x%02X"):format(byte:byte())
    end))
  end
  return (text:gsub("\xc2([\x80-\x9f])", function(byte)
    return ("\\u{%X}"):format(byte:byte())
  end))
end

--- Text without control characters but line feeds and tabs.
---@param text string
---@return string
function M.plain(text)
  return (escape_high(text):gsub("[%z\1-\8\11-\31\127]", function(byte)
    return ("\\x%02X"):format(byte:byte())
  end))
end

local function quote(text, inside)
  local cut = inside and #text > LONGEST and text:sub(1, utf8.offset(text, 0, LONGEST) - 1) or text
  local quoted = escape_high(("%q"):format(cut):gsub("\\\n", "\\n"):gsub("\\9", "\\t"))
  return #cut < #text and ("%s... (%d bytes)"):format(quoted, #text) or quoted
end

local function by_name(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then
    return kind_a < kind_b
  elseif kind_a == "number" or kind_a == "string" then
    return a < b
  end
  return tostring(a) < tostring(b)
end

--- Keys that are no part of the list, in order.
local function keys_of(value, length)
  local keys = {}
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= length) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, by_name)
  return keys
end

local function key_text(key)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" then
    return key
  end
  return "[" .. (type(key) == "string" and quote(key, true) or M.plain(tostring(key))) .. "]"
end

local text_of

local function fields_of(value, depth, parents)
  local fields = {}
  local length = rawlen(value)
  local keys = keys_of(value, length)
  for index = 1, math.min(length, FIELDS) do
    fields[index] = text_of(rawget(value, index), depth + 1, parents)
  end
  for index = 1, math.min(#keys, FIELDS - #fields) do
    local key = keys[index]
    fields[#fields + 1] = key_text(key) .. " = " .. text_of(rawget(value, key), depth + 1, parents)
  end
  if length + #keys > #fields then
    fields[#fields + 1] = ("... (%d more)"):format(length + #keys - #fields)
  end
  return fields
end

local function table_text(value, depth, parents)
  if parents[value] then
    return "{ ... (itself) }"
  elseif next(value) == nil then
    return "{}"
  elseif depth >= DEPTH then
    return "{ ... }"
  end
  parents[value] = true
  local fields = fields_of(value, depth, parents)
  parents[value] = nil
  local line = "{ " .. table.concat(fields, ", ") .. " }"
  if #line + 2 * depth <= WIDTH and not line:find("\n", 1, true) then
    return line
  end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(fields, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

function text_of(value, depth, parents)
  local meta = debug.getmetatable(value)
  if type(value) == "string" then
    return quote(value, depth > 0)
  elseif value == json.null then
    return "null"
  elseif type(value) ~= "table" or (meta and meta.__tostring) then
    return M.plain(tostring(value))
  end
  return table_text(value, depth, parents)
end

--- A value as text.
---@param value any
---@return string
function M.value(value)
  return text_of(value, 0, {})
end

return M
