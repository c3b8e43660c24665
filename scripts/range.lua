-- The Range header (RFC 9110, 14.2): which part of a file is wanted.

local M = {}

local function position(digits)
  return #digits > 18 and math.maxinteger or math.tointeger(tonumber(digits))
end

local function from_end(digits, size)
  local length = math.min(position(digits), size)
  if length == 0 then
    return nil, "unsatisfiable"
  end
  return size - length, length
end

--- The one range that a header asks for.
---@param header string?
---@param size integer bytes there are
---@return integer? offset nil when all is to be sent: no header, one that means nothing, or several ranges
---@return integer|"unsatisfiable"|nil length "unsatisfiable" after a nil offset when the range is outside
function M.parse(header, size)
  local unit, first, last = (header or ""):match "^(%a+)= *(%d*)-(%d*) *$"
  if not unit or unit:lower() ~= "bytes" or first == "" and last == "" then
    return nil
  elseif first == "" then
    return from_end(last, size)
  end
  local from = position(first)
  local to = last == "" and math.maxinteger or position(last)
  if to < from then
    return nil
  elseif from >= size then
    return nil, "unsatisfiable"
  end
  return from, math.min(to, size - 1) - from + 1
end

return M
