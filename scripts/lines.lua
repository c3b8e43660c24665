-- Splits bytes into lines, however they arrive. A line ends with LF or CRLF.

local M = {}

--- Bytes of a line; what is longer is left out.
M.LONGEST = 1 << 20

---@class sse.Lines
local Lines = {}
Lines.__index = Lines

---@param longest integer?
---@return sse.Lines
function M.new(longest)
  return setmetatable({ longest = longest or M.LONGEST, parts = {}, kept = 0, position = 1 }, Lines)
end

--- Adds bytes. Those before must have been taken: `next` has returned nil.
---@param bytes string
function Lines:feed(bytes)
  self.bytes, self.position = bytes, 1
end

local function keep(self, piece)
  if self.skipping or piece == "" then
    return nil
  elseif self.kept + #piece > self.longest then
    self.parts, self.kept, self.skipping = {}, 0, true
    return false
  end
  self.parts[#self.parts + 1] = piece
  self.kept = self.kept + #piece
  return nil
end

local function complete(self, piece)
  local line = piece
  if self.skipping then
    self.skipping = nil
    return self:next()
  elseif self.kept + #piece > self.longest then
    self.parts, self.kept = {}, 0
    return false
  elseif self.kept > 0 then
    self.parts[#self.parts + 1] = piece
    line = table.concat(self.parts)
    self.parts, self.kept = {}, 0
  end
  if line:byte(-1) == 13 then
    line = line:sub(1, -2)
  end
  return line
end

--- The next whole line; false, once, for one that is too long; nil when more bytes are needed.
---@return string|false|nil
function Lines:next()
  local bytes = self.bytes
  if not bytes then
    return nil
  end
  local at = bytes:find("\n", self.position, true)
  if not at then
    self.bytes = nil
    return keep(self, bytes:sub(self.position))
  end
  local piece = bytes:sub(self.position, at - 1)
  self.position = at + 1
  return complete(self, piece)
end

--- What was fed and not taken, and forgets it: the beginning of a line, and lines after it.
---@return string
function Lines:rest()
  local parts = self.parts
  if self.bytes then
    parts[#parts + 1] = self.bytes:sub(self.position)
  end
  self.parts, self.kept, self.bytes, self.skipping = {}, 0, nil, nil
  return table.concat(parts)
end

--- Leaves out what comes before the next line.
function Lines:skip()
  self.skipping = true
end

--- Bytes that were fed and not taken.
---@return integer
function Lines:pending()
  return self.kept + (self.bytes and #self.bytes - self.position + 1 or 0)
end

return M
