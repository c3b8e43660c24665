-- Reads JSON text strictly (RFC 8259), integers in full, lists marked. It is written in Lua because
-- lua-cjson reads every number as a float, takes hex numbers, NaN and Infinity, and forgets which
-- empty table was a list; mending its result costs as much as reading here. cjson decodes escapes.

local cjson = require("cjson").new()

local byte, find, sub = string.byte, string.find, string.sub

local M = {}

--- How many tables may be inside one another, in both directions.
M.DEEPEST = 64

--- Metatable of tables known to be lists.
M.array_metatable = { __name = "sse.array" }

local DEEPEST = M.DEEPEST
local QUOTE, BACKSLASH, DELETE, COMMA, COLON, MINUS = byte('"\\\127,:-', 1, -1)
local OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = byte("[]{}", 1, -1)

--- What a fault is raised as, so that other errors pass through.
local Fault = {}

local function fail(position, reason)
  error(setmetatable({ position = position, reason = reason }, Fault), 0)
end

local function skip_blanks(text, position)
  if (byte(text, position) or 0) > 32 then
    return position
  end
  return find(text, "[^ \n\r\t]", position) or #text + 1
end

-- Each reader is called at its value's first character and returns the value and the position after it.

local readers = {}

local function unexpected(text, position)
  if position > #text then
    fail(position, "the text ends too early")
  end
  local char = text:match("^[%g]", position)
  fail(position, char and "unexpected '" .. char .. "'" or "unexpected character")
end

local function read_value(text, position, depth)
  return (readers[byte(text, position)] or unexpected)(text, position, depth)
end

local function read_escaped(text, first, last)
  local ok, list = pcall(cjson.decode, "[" .. sub(text, first, last) .. "]")
  if not ok then
    fail(first, "a string with an invalid escape")
  end
  return list[1], last + 1
end

local function read_string(text, first)
  local _, last, plain = find(text, '^"([^"\\%c]*)"', first)
  if last then
    return plain, last + 1
  end
  local position = first + 1
  while true do
    position = find(text, '["\\%c]', position)
    local char = position and byte(text, position)
    if not char then
      fail(first, "a string without an end")
    elseif char == QUOTE then
      return read_escaped(text, first, position)
    elseif char == BACKSLASH then
      position = position + 2
    elseif char == DELETE then
      position = position + 1
    else
      fail(position, "a control character in a string")
    end
  end
end

--- Whether digits are none of JSON's although Lua takes them: 01, 1. and 1.e5.
local function is_lax(digits)
  return find(digits, "^-?0%d") or find(digits, "%.[eE]") or find(digits, "%.$")
end

local function read_number(text, first)
  local _, last = find(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", first)
  if not last then
    unexpected(text, first + 1)
  end
  local digits = sub(text, first, last)
  local number = tonumber(digits)
  if not number or not find(digits, "^-?[1-9]%d*$") and is_lax(digits) then
    fail(first, "a malformed number")
  elseif number - number ~= 0 then
    fail(first, "a number too large")
  end
  return number, last + 1
end

local function literal(word, value)
  return function(text, position)
    if sub(text, position, position + #word - 1) ~= word then
      unexpected(text, position)
    end
    return value, position + #word
  end
end

--- The next item's position after a comma; after `close` nil and the position behind it.
local function after_item(text, position, close)
  local char = byte(text, position)
  if char ~= COMMA and char ~= close then
    position = skip_blanks(text, position)
    char = byte(text, position)
  end
  if char == COMMA then
    return skip_blanks(text, position + 1)
  elseif char ~= close then
    unexpected(text, position)
  end
  return nil, position + 1
end

local function read_list(text, first, depth)
  if depth == DEEPEST then
    fail(first, "nested too deep")
  end
  local list, count = setmetatable({}, M.array_metatable), 0
  local position = skip_blanks(text, first + 1)
  if byte(text, position) == CLOSE_LIST then
    return list, position + 1
  end
  local finish
  repeat
    count = count + 1
    list[count], position = read_value(text, position, depth + 1)
    position, finish = after_item(text, position, CLOSE_LIST)
  until not position
  return list, finish
end

local function read_key(text, position)
  if byte(text, position) ~= QUOTE then
    unexpected(text, position)
  end
  local _, last, plain = find(text, '^"([^"\\%c]*)"[ \n\r\t]*:', position)
  if last then
    return plain, skip_blanks(text, last + 1)
  end
  local key, after = read_string(text, position)
  after = skip_blanks(text, after)
  if byte(text, after) ~= COLON then
    unexpected(text, after)
  end
  return key, skip_blanks(text, after + 1)
end

local function read_object(text, first, depth)
  if depth == DEEPEST then
    fail(first, "nested too deep")
  end
  local object = {}
  local position = skip_blanks(text, first + 1)
  if byte(text, position) == CLOSE_OBJECT then
    return object, position + 1
  end
  local finish
  repeat
    local key
    key, position = read_key(text, position)
    object[key], position = read_value(text, position, depth + 1)
    position, finish = after_item(text, position, CLOSE_OBJECT)
  until not position
  return object, finish
end

readers[QUOTE] = read_string
readers[MINUS] = read_number
for digit = byte "0", byte "9" do
  readers[digit] = read_number
end
readers[OPEN_LIST] = read_list
readers[OPEN_OBJECT] = read_object
readers[byte "t"] = literal("true", true)
readers[byte "f"] = literal("false", false)
readers[byte "n"] = literal("null", cjson.null)

local function read_text(text)
  local value, position = read_value(text, skip_blanks(text, 1), 0)
  position = skip_blanks(text, position)
  if position <= #text then
    unexpected(text, position)
  end
  return value
end

--- " at line 2, column 7"; columns count characters.
local function place_of(text, position)
  local before = sub(text, 1, position - 1)
  local _, lines = before:gsub("\n", "")
  local line = before:match("[^\n]*$")
  return (" at line %d, column %d"):format(lines + 1, (utf8.len(line) or #line) + 1)
end

--- See json.decode.
---@param text string
---@return any value nil when the text is no JSON
---@return string? message
function M.decode(text)
  if type(text) ~= "string" then
    return nil, "JSON must be a string, got " .. type(text)
  end
  local length, bad = utf8.len(text)
  if not length then
    return nil, "text that is not UTF-8" .. place_of(text, bad)
  end
  local ok, value = pcall(read_text, text)
  if ok then
    return value
  elseif getmetatable(value) ~= Fault then
    error(value, 0)
  end
  return nil, value.reason .. place_of(text, value.position)
end

return M
