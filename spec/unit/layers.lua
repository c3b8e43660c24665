-- What the folders of src/ may include. Dependencies point one way:
-- base <- proto <- core <- store <- { net, script } <- app.

local uv = require "luv"

local M = {}

local below = {
  base = {},
  proto = { "base" },
  core = { "base", "proto" },
  store = { "base", "proto", "core" },
  net = { "base", "proto", "core", "store" },
  script = { "base", "proto", "core", "store" },
  app = { "base", "proto", "core", "store", "net", "script" },
}

-- Headers of libraries that belong to some folders. A header that is in no list belongs to all.
local owners = {
  { pattern = "^lua", folders = { "script" } },
  { pattern = "^lauxlib%.h$", folders = { "script" } },
  { pattern = "^llhttp", folders = { "proto" } },
  { pattern = "^histedit%.h$", folders = { "app" } },
  { pattern = "^sqlite3", folders = { "store" } },
  { pattern = "^uv%.h$", folders = { "net", "script", "app" } },
  { pattern = "^uv/", folders = { "net", "script", "app" } },
}

local function index_of(list, item)
  for i, one in ipairs(list) do
    if one == item then
      return i
    end
  end
end

--- Files directly in src/ (the program's main) stand above all folders.
local function folder_of(path)
  return path:match "^([^/]+)/" or "app"
end

local function walk(root, prefix, found)
  local entries = assert(uv.fs_scandir(root .. prefix))
  for name, kind in uv.fs_scandir_next, entries do
    if kind == "directory" then
      walk(root, prefix .. name .. "/", found)
    elseif name:match "%.[ch]$" then
      local file = assert(io.open(root .. prefix .. name, "rb"))
      found[prefix .. name] = file:read "a"
      file:close()
    end
  end
  return found
end

--- The C files below a folder.
---@param root string
---@return table<string, string> files path below the folder = content
function M.read(root)
  return walk(root .. "/", "", {})
end

local function check_own(files, path, target)
  local from, to = folder_of(path), folder_of(target)
  if not files[target] then
    return ('%s includes "%s", which is not there'):format(path, target)
  elseif not below[from] then
    return ("%s is in a folder that has no place among the layers"):format(path)
  elseif from ~= to and not index_of(below[from], to) then
    return ('%s includes "%s": %s must not know %s'):format(path, target, from, to)
  end
end

local function check_foreign(path, header)
  for _, rule in ipairs(owners) do
    if header:match(rule.pattern) and not index_of(rule.folders, folder_of(path)) then
      return ("%s includes <%s>, which belongs to %s"):format(path, header, table.concat(rule.folders, ", "))
    end
  end
end

-- Follows the includes of a file, depth first. `state` is "open" for the files on the way here.
local function follow(graph, path, state, trail, problems)
  state[path] = "open"
  trail[#trail + 1] = path
  for _, target in ipairs(graph[path] or {}) do
    if state[target] == "open" then
      local cycle = table.concat(trail, " > ", index_of(trail, target))
      problems[#problems + 1] = ("a cycle: %s > %s"):format(cycle, target)
    elseif not state[target] then
      follow(graph, target, state, trail, problems)
    end
  end
  trail[#trail] = nil
  state[path] = "done"
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

--- What breaks the rules.
---@param files table<string, string> path below src/ = content
---@return string[] problems
function M.problems(files)
  local problems, graph, state = {}, {}, {}
  local paths = sorted_keys(files)
  for _, path in ipairs(paths) do
    graph[path] = {}
    for open, name in ("\n" .. files[path]):gmatch '\n[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)' do
      if open == '"' then
        table.insert(graph[path], name)
      end
      problems[#problems + 1] = open == '"' and check_own(files, path, name) or check_foreign(path, name)
    end
  end
  for _, path in ipairs(paths) do
    if not state[path] then
      follow(graph, path, state, {}, problems)
    end
  end
  return problems
end

return M
