-- sse.log: lines in the router's log.

local core = require "sse.core"
local json = require "sse.json"

local M = {}

local function text_of(value)
  local meta = getmetatable(value)
  if value == json.null then
    return "null"
  elseif type(value) == "table" and not (meta and meta.__tostring) then
    return json.try_encode(value) or tostring(value)
  end
  return tostring(value)
end

for _, level in ipairs { "debug", "info", "warn", "error" } do
  M[level] = function(...)
    local parts = table.pack(...)
    for index = 1, parts.n do
      parts[index] = text_of(parts[index])
    end
    core.log(level, table.concat(parts, " "))
  end
end

return M
