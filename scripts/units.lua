-- Durations and sizes as people write them: "500ms", "3s", "64k".

local M = {}

local DURATION_UNITS = { s = 1, m = 60, h = 3600, d = 86400 }
local SIZE_UNITS = { [""] = 1, k = 1 << 10, m = 1 << 20, g = 1 << 30 }
local LONGEST = 100 * 365 * 86400
local LARGEST = 1 << 53

-- Of longer texts the patterns below would take the square of the length.
local LONGEST_TEXT = 64

local function seconds_of(text)
  local number, unit = text:match("^(%d+%.?%d*)(%l+)$")
  if not number then
    return nil
  elseif unit == "ms" then
    return tonumber(number) / 1000
  end
  local factor = DURATION_UNITS[unit]
  return factor and tonumber(number) * factor
end

--- Seconds of a duration: a number of seconds, or text with a unit (ms, s, m, h, d), decimals allowed.
---@param value any
---@return number? seconds
---@return string? message
function M.duration(value)
  local seconds
  if type(value) == "number" then
    seconds = value
  elseif type(value) == "string" and #value <= LONGEST_TEXT then
    seconds = seconds_of(value)
  end
  if not seconds or seconds ~= seconds or seconds < 0 then
    return nil, 'must be a duration such as "500ms", "3s" or a number of seconds'
  elseif seconds > LONGEST then
    return nil, "must be a duration of at most 100 years"
  end
  return seconds
end

local function bytes_of(text)
  local number, unit = text:match("^(%d+%.?%d*)(%a?)$")
  local factor = number and SIZE_UNITS[unit:lower()]
  return factor and tonumber(number) * factor
end

--- Bytes of a size: an integer, or text with a binary unit (k, M, G). "1.5M" is fine, half a byte is not.
---@param value any
---@return integer? bytes
---@return string? message
function M.size(value)
  local number
  if type(value) == "number" then
    number = value
  elseif type(value) == "string" and #value <= LONGEST_TEXT then
    number = bytes_of(value)
  end
  if not number or number ~= number or number < 0 then
    return nil, 'must be a size such as "64k", "1M" or a number of bytes'
  elseif number > LARGEST then
    return nil, "must be a size of at most 2^53 bytes"
  end
  local bytes = math.tointeger(number)
  if not bytes then
    return nil, "must be a whole number of bytes"
  end
  return bytes
end

return M
