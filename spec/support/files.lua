-- Temporary directories and files of a spec.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"

local M = {}

---@param path string
---@return string|nil content nil if there is no such file
function M.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local content = file:read "a"
  file:close()
  return content
end

--- Writes a file so that a reader sees the old content or the new one, never a part.
---@param path string
---@param content string
function M.write(path, content)
  local beside = path .. ".new"
  local file = assert(io.open(beside, "wb"))
  assert(file:write(content))
  assert(file:close())
  assert(os.rename(beside, path))
end

---@param path string a file, or a directory with all that is in it; nothing there is fine
function M.remove(path)
  local entries = uv.fs_scandir(path)
  while entries do
    local name, kind = uv.fs_scandir_next(entries)
    if not name then
      break
    end
    if kind == "directory" then
      M.remove(path .. "/" .. name)
    else
      uv.fs_unlink(path .. "/" .. name)
    end
  end
  if entries then
    uv.fs_rmdir(path)
  else
    uv.fs_unlink(path)
  end
end

--- A new directory, gone after the clean-up.
---@param content table<string, string>|nil files to begin with
---@return string path
function M.directory(content)
  local path = assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/sse-router-spec-XXXXXX"))
  cleanup.add({}, function()
    M.remove(path)
  end)
  for name, text in pairs(content or {}) do
    M.write(path .. "/" .. name, text)
  end
  return path
end

return M
