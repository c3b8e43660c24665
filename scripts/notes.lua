-- What sources note down for the script that takes over when this one is reloaded: plain data, by a name.

local state = require "sse.state"

local M = {}

---@class sse.Notes
local Notes = {}
Notes.__index = Notes

--- The notes of one kind of source, "tail". Once for each script, while it is loaded.
---@param kind string
---@return sse.Notes
function M.open(kind)
  local kept = state.get("sse." .. kind, {})
  local before = {}
  for key, value in pairs(kept) do
    before[key], kept[key] = value, nil
  end
  return setmetatable({ kept = kept, before = before, counts = {} }, Notes)
end

--- A table to write to, and what the script before has written there. Equal names are told apart by their order.
---@param name string
---@return table own
---@return table? before
function Notes:take(name)
  self.counts[name] = (self.counts[name] or 0) + 1
  local key = name .. "#" .. self.counts[name]
  local own = {}
  self.kept[key] = own
  local before = self.before[key]
  self.before[key] = nil
  return own, before
end

--- The source is over.
function Notes:drop(own)
  for key, value in pairs(self.kept) do
    if value == own then
      self.kept[key] = nil
    end
  end
end

return M
