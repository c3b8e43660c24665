-- JSON for scripts, with the traps of Lua tables closed: what cannot be sent is a mistake that names
-- its path, never a surprise on the wire. lua-cjson gives the escapes and `null`; it neither keeps
-- 64-bit integers nor tells an empty list from an empty object, so tables are walked here.
--
-- Numbers: a Lua integer is written in full, and JSON digits without fraction or exponent that fit
-- 64 bits are read as an integer. `1.0` and `1e3` are read as floats; a float of whole value is
-- written without fraction. Every finite number comes back with the same value.

local cjson = require("cjson").new() -- settings of its own, whatever a script does to the shared one
local decoder = require "sse.json_decode"
local options = require "sse.options"

local concat, find, format, gsub = table.concat, string.find, string.format, string.gsub
local math_type, tointeger = math.type, math.tointeger
local encode_string, utf8_length = cjson.encode, utf8.len
local array_metatable = decoder.array_metatable

local M = {}

--- JSON's null, which a Lua table cannot hold as nil.
M.null = cjson.null

--- Value of a JSON text, or nil and what is wrong with it, with line and column. Lists are marked as by
--- `array`, `null` is `json.null`, and of a repeated key the last one counts.
M.decode = decoder.decode

local DEEPEST = decoder.DEEPEST
local PREFIXES_KEPT = 512
local LONGEST_KEPT_KEY = 64
local LONGEST_SPARE = 4096
local UNSENDABLE = { ["function"] = "a function", userdata = "a userdata", thread = "a coroutine" }
local HOLE = "a list with a hole cannot be sent as JSON"
local TOO_DEEP = ("nested deeper than %d tables"):format(DEEPEST)

--- Marks a table as a list, so that it is `[]` even when empty. Gives back the same table.
---@param list table
---@return table
function M.array(list)
  options.argument("sse.array", 1, "list", list, "table")
  return setmetatable(list, array_metatable)
end

local function printable(text)
  if #text > 40 then
    text = text:sub(1, 40) .. "..."
  end
  return (text:gsub('[%c"\\\127-\255]', function(char)
    return format("\\x%02X", char:byte())
  end))
end

--- One step of a path: `.name`, `["odd name"]` or `[3]`.
local function step(key)
  if type(key) ~= "string" then
    return "[" .. tostring(key) .. "]"
  elseif find(key, "^[%a_][%w_]*$") and #key <= 40 then
    return "." .. key
  end
  return '["' .. printable(key) .. '"]'
end

--- JSON text of a string, or nil and the reason.
local function quote(text)
  local length, position = utf8_length(text)
  if not length then
    return nil, format("text that is not UTF-8 (byte %d) cannot be sent as JSON", position)
  end
  local quoted = encode_string(text)
  if find(text, "/", 1, true) then
    quoted = gsub(quoted, "\\/", "/") -- cjson writes every slash as \/, and a slash in no other way
  end
  return quoted
end

--- JSON text of a float, the shortest that is read back as the same value; an integer where it is one.
local function float(number)
  local whole = tointeger(number)
  if whole then
    return (whole ~= 0 or 1 / number > 0) and whole or "-0.0"
  elseif number ~= number then
    return nil, "NaN cannot be sent as JSON"
  elseif number - number ~= 0 then
    return nil, "infinity cannot be sent as JSON"
  end
  local text = format("%.15g", number)
  if tonumber(text) ~= number then
    text = format("%.16g", number)
    if tonumber(text) ~= number then
      text = format("%.17g", number)
    end
  end
  return text
end

-- What stands before an object's first and later values, `{"name":` and `,"name":`, by key: the same few
-- keys come again and again. They can come from outside too, so what is kept is bounded.
local prefixes_by_lead, prefixes_kept

local function forget_prefixes()
  prefixes_by_lead, prefixes_kept = { ["{"] = {}, [","] = {} }, 0
end
forget_prefixes()

local function make_prefix(key, lead)
  if type(key) ~= "string" then
    return nil, format("a table with %s keys cannot be sent as JSON, only text keys or a list", type(key))
  end
  local quoted, reason = quote(key)
  if not quoted then
    return nil, "the key is " .. reason
  end
  local prefix = lead .. quoted .. ":"
  if #key <= LONGEST_KEPT_KEY then
    if prefixes_kept == PREFIXES_KEPT then
      forget_prefixes()
    end
    prefixes_kept = prefixes_kept + 1
    prefixes_by_lead[lead][key] = prefix
  end
  return prefix
end

local write

-- Each write_* adds pieces to `out` after the first `n` and returns the new number of them, or nil, the
-- path of the culprit below this table, and the reason. Only failures pay for paths.

local function write_object(object, out, n, depth)
  local lead = "{"
  local prefixes = prefixes_by_lead[lead]
  for key, value in next, object do
    local prefix = prefixes[key]
    if not prefix then
      local fault
      prefix, fault = make_prefix(key, lead)
      if not prefix then
        return nil, step(key), fault
      end
    end
    if lead == "{" then
      lead, prefixes = ",", prefixes_by_lead[","]
    end
    n = n + 1
    out[n] = prefix
    local path, reason
    n, path, reason = write(value, out, n, depth)
    if not n then
      return nil, step(key) .. path, reason
    end
  end
  n = n + 1
  out[n] = "}"
  return n
end

--- Why a table is no list: the path and the reason; nil where a walk over its items tells.
local function list_fault(list, length)
  local count = 0
  for key in next, list do
    count = count + 1
    if type(key) == "string" then
      return step(key), "a list that also has named fields cannot be sent as JSON"
    elseif math_type(key) ~= "integer" or key < 1 then
      return step(key), "a key that is neither text nor a place in a list cannot be sent as JSON"
    end
  end
  if count > length then
    return step(length + 1), HOLE
  end
end

local function write_list(list, out, n, depth)
  local length = rawlen(list)
  local path, reason = list_fault(list, length)
  if path then
    return nil, path, reason
  end
  local lead = "["
  for position = 1, length do
    n = n + 1
    out[n] = lead
    lead = ","
    local item = rawget(list, position)
    if item == nil then
      return nil, step(position), HOLE
    end
    n, path, reason = write(item, out, n, depth)
    if not n then
      return nil, step(position) .. path, reason
    end
  end
  n = n + 1
  out[n] = length == 0 and "[]" or "]"
  return n
end

local function write_table(value, out, n, depth)
  depth = depth + 1
  if depth > DEEPEST then
    return nil, "", TOO_DEEP
  elseif getmetatable(value) == array_metatable or rawget(value, 1) ~= nil then
    return write_list(value, out, n, depth)
  elseif next(value) == nil then
    out[n + 1] = "{}"
    return n + 1
  end
  return write_object(value, out, n, depth)
end

function write(value, out, n, depth)
  local kind, text, reason = type(value), nil, nil
  if kind == "string" then
    text, reason = quote(value)
  elseif kind == "number" then
    if math_type(value) == "integer" then
      text = value
    else
      text, reason = float(value)
    end
  elseif kind == "table" then
    return write_table(value, out, n, depth)
  elseif kind == "boolean" then
    text = value and "true" or "false"
  elseif value == M.null then
    text = "null"
  else
    reason = (UNSENDABLE[kind] or kind) .. " cannot be sent as JSON"
  end
  if not text then
    return nil, "", reason
  end
  n = n + 1
  out[n] = text
  return n
end

--- Path to a table that is among its own ancestors; nil when the value is only deep.
local function cycle_path(value, ancestors, done, depth)
  if ancestors[value] then
    return ""
  elseif done[value] or depth > 2 * DEEPEST then
    return nil
  end
  ancestors[value], done[value] = true, true
  for key, child in next, value do
    local path = type(child) == "table" and cycle_path(child, ancestors, done, depth + 1)
    if path then
      return step(key) .. path
    end
  end
  ancestors[value] = nil
end

local function explain(value, root, path, reason)
  if reason == TOO_DEEP then
    local cycle = cycle_path(value, {}, {}, 0)
    if cycle then
      path, reason = cycle, "a table that contains itself cannot be sent as JSON"
    else
      path = #path > 80 and path:sub(1, 80) .. "..." or path
    end
  end
  return root .. path .. ": " .. reason
end

local spare -- the piece table of the last short text, to save its growth

--- JSON text of a value, or nil and a message that names the culprit: "data.items[3].price: NaN cannot be
--- sent as JSON". For values that come from a script's return; a script's own call wants `encode`.
---@param value any
---@param root string? what the message calls the value; "value" when absent
---@return string? text
---@return string? message
function M.try_encode(value, root)
  local out = spare or {}
  spare = nil
  local n, path, reason = write(value, out, 0, 0)
  if not n then
    return nil, explain(value, root or "value", path, reason)
  end
  local text = concat(out, "", 1, n)
  if #text <= LONGEST_SPARE then
    spare = out
  end
  return text
end

--- JSON text of a value; raises at the script's line when the value cannot be sent.
---@param value any
---@param root string? what the message calls the value; "value" when absent
---@return string
function M.encode(value, root)
  local text, message = M.try_encode(value, root)
  if not text then
    options.raise(message)
  end
  return text
end

return M
