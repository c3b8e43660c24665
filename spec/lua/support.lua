-- Loads the library's Lua half into a plain interpreter: `sse.NAME` is scripts/NAME.lua under the
-- chunk name that the binary gives it, and `sse.core` is a small stand-in for the C half.

local M = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)support%.lua$") or "spec/lua/"
local scripts = here .. "../../scripts/"

--- Stand-in for the C half. `files` maps an absolute path to `{ size = , mtime = }`, or to the
--- code of the error that opening it gives.
M.core = {
  script_dir = function()
    return "/srv/feeds"
  end,
  now = os.time,
  equal = function(a, b)
    M.compared[#M.compared + 1] = { a, b }
    return a == b
  end,
}

M.files = {}
M.open_files = 0
M.compared = {}

function M.reset()
  M.files, M.compared, M.open_files = {}, {}, 0
end

local function is_folder(path)
  local prefix = path:gsub("/%.$", "") .. "/"
  for name in pairs(M.files) do
    if name:sub(1, #prefix) == prefix then
      return true
    end
  end
  return false
end

function M.core.file_open(root, relative)
  local path = root .. "/" .. relative
  local entry = M.files[path]
  if type(entry) == "string" then
    return nil, "cannot open", entry
  elseif not entry then
    return nil, "cannot open", is_folder(path) and "EISDIR" or "ENOENT"
  end
  M.open_files = M.open_files + 1
  local file = { path = path }
  function file.close()
    M.open_files = M.open_files - 1
  end
  return file, entry.size, entry.mtime, 0
end

local function searcher(name)
  local module = name:match("^sse%.([%w_]+)$")
  local file = module and io.open(scripts .. module .. ".lua")
  if not file then
    return "\n\tno library module '" .. name .. "'"
  end
  local text = file:read("a")
  file:close()
  return assert(load(text, "=sse/" .. module .. ".lua"))
end

package.preload["sse.core"] = function()
  return M.core
end
table.insert(package.searchers, 2, searcher)

--- Message of the error that `call` raises.
function M.message(call, ...)
  local ok, message = pcall(call, ...)
  assert(not ok, "expected an error")
  return message
end

M.seed = require "spec.support.seed"

return M
