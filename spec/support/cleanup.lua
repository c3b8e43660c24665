-- What a spec leaves open: processes, sockets, directories. The support adds things as it opens them;
-- `cleanup.run` closes them newest first. A spec calls it in `after_each`; in any case busted calls it
-- after each file, since every file loads this module afresh.

local loop = require "spec.support.loop"

local M = {}

local closers = {}
local order = 0

--- Remembers how to close `object`. A second call for the same object replaces the first.
---@param object table
---@param closer fun(object: table)
function M.add(object, closer)
  order = order + 1
  closers[object] = { close = closer, order = order }
end

---@param object table
function M.remove(object)
  closers[object] = nil
end

local function newest_first()
  local objects = {}
  for object in pairs(closers) do
    objects[#objects + 1] = object
  end
  table.sort(objects, function(one, other)
    return closers[one].order > closers[other].order
  end)
  return objects
end

--- Closes everything, whatever fails on the way, and then raises the first failure.
function M.run()
  local first
  for _, object in ipairs(newest_first()) do
    local entry = closers[object]
    closers[object] = nil
    if entry then
      local ok, message = pcall(entry.close, object)
      first = first or (not ok and message) or nil
    end
  end
  loop.settle()
  loop.raise_failure()
  if first then
    error(first, 0)
  end
end

local busted = package.loaded.busted
if busted and busted.subscribe then
  busted.subscribe({ "file", "end" }, function()
    M.run()
    return nil, true
  end)
end

return M
