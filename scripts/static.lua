-- Files of one folder as HTTP answers: types, validators, conditions and ranges. That no path leads out of
-- the folder is the core's promise (it resolves strictly below the root); here such paths are 404 before.

local core = require "sse.core"
local httpdate = require "sse.httpdate"
local media = require "sse.media"
local options = require "sse.options"
local range = require "sse.range"

local M = {}

---@class sse.static.Options
---@field index string? file that stands for its folder; "index.html" when absent
---@field cache_control string? "no-cache" when absent: browsers ask each time, and get 304
---@field dotfiles boolean? whether names that begin with a dot are served; false when absent

local RULES = {
  index = { type = "string", default = "index.html" },
  cache_control = { type = "string", default = "no-cache" },
  dotfiles = { type = "boolean", default = false },
}

-- What a request can cause by its path alone, so it is told no more than "not found".
local NOT_FOUND = {
  ENOENT = true, ENOTDIR = true, EISDIR = true, EACCES = true, EPERM = true, ELOOP = true, EXDEV = true,
  ENAMETOOLONG = true, EINVAL = true, ENXIO = true,
}

--- The prefix without its last slash; "" for "/".
local function base_of(prefix)
  options.argument("sse.static", 1, "prefix", prefix, "string")
  if prefix:sub(1, 1) ~= "/" or prefix:find "[:*?#%%]" then
    options.raise(("sse.static: argument 1 (prefix) must be a plain path such as \"/\" or \"/files\", got %q")
      :format(prefix))
  end
  return (prefix:gsub("/+$", ""))
end

--- Patterns to route to the handler: the folder without its slash, which is redirected, and all below.
---@param prefix string
---@return string[]
function M.patterns(prefix)
  local base = base_of(prefix)
  if base == "" then
    return { "/*file" }
  end
  return { base, base .. "/*file" }
end

--- Whether a decoded path is one that may be looked for: plain names between single slashes.
local function is_plain(file, dotfiles)
  if file:find "[\0\\]" or file:find("//", 1, true) or file:sub(1, 1) == "/" then
    return false
  end
  for name in file:gmatch "[^/]+" do
    if name == "." or name == ".." or not dotfiles and name:sub(1, 1) == "." then
      return false
    end
  end
  return true
end

local function not_found()
  return 404, "not found\n"
end

local function cannot_open(code)
  if NOT_FOUND[code] then
    return not_found()
  end
  return 503, "the file cannot be read now\n"
end

--- A location that leads back to the same decoded path.
local function encode(path)
  return (path:gsub("[^%w/._~!$&'()*+,;=:@-]", function(char)
    return ("%%%02X"):format(char:byte())
  end))
end

local function redirect(req, folder)
  local query = req.raw_query or ""
  return 301, nil, { Location = encode(folder) .. "/" .. (query ~= "" and "?" .. query or "") }
end

--- Whether a list of entity tags names this one. Weak ones count for If-None-Match alone.
local function names_tag(list, tag, weak)
  if list:find "^%s*%*%s*$" then
    return true
  end
  for mark, candidate in list:gmatch '(W?/?)("[^"]*")' do
    if candidate == tag and (weak or mark ~= "W/") then
      return true
    end
  end
  return false
end

--- Whether the client's copy is as new as the file; the tag decides where both are asked.
local function is_fresh(req, file)
  local tags = req.headers["if-none-match"]
  if tags then
    return names_tag(tags, file.tag, true)
  end
  local since = httpdate.parse(req.headers["if-modified-since"] or "")
  return since ~= nil and file.modified <= since
end

--- Whether the file is not the one that the client means (If-Match, else If-Unmodified-Since).
local function is_another(req, file)
  local tags = req.headers["if-match"]
  if tags then
    return not names_tag(tags, file.tag, false)
  end
  local since = httpdate.parse(req.headers["if-unmodified-since"] or "")
  return since ~= nil and file.modified > since
end

--- The range that counts: If-Range makes it depend on an unchanged file, and only GET has ranges.
local function wanted_range(req, file, last_modified)
  local condition = req.headers["if-range"]
  if req.method ~= "GET" or condition and condition ~= file.tag and condition ~= last_modified then
    return nil
  end
  return range.parse(req.headers.range, file.size)
end

--- Answers with an open file; closes it where its bytes are not sent.
local function answer(req, path, file, checked)
  local headers = {
    ["Cache-Control"] = checked.cache_control,
    ETag = file.tag,
    ["Last-Modified"] = httpdate.format(file.modified),
  }
  if is_another(req, file) then
    file.handle:close()
    return 412, "the file has changed\n", headers
  elseif is_fresh(req, file) then
    file.handle:close()
    return 304, nil, headers
  end
  headers["Accept-Ranges"] = "bytes"
  local offset, length = wanted_range(req, file, headers["Last-Modified"])
  if length == "unsatisfiable" then
    file.handle:close()
    headers["Content-Range"] = "bytes */" .. file.size
    return 416, "there is no such range\n", headers
  end
  headers["Content-Type"] = media.type(path)
  headers["X-Content-Type-Options"] = "nosniff"
  if not offset then
    return 200, { file = file.handle, offset = 0, length = file.size }, headers
  end
  headers["Content-Range"] = ("bytes %d-%d/%d"):format(offset, offset + length - 1, file.size)
  return 206, { file = file.handle, offset = offset, length = length }, headers
end

--- A folder as an absolute path: a relative one begins at the script's folder, not where it was started.
local function absolute(folder)
  return folder:sub(1, 1) == "/" and folder or core.script_dir() .. "/" .. folder
end

local function resolve(root)
  options.argument("sse.static", 2, "folder", root, "string")
  local path = absolute(root)
  local file, message, code = core.file_open(path, ".")
  if file then
    file:close()
  elseif code ~= "EISDIR" then
    options.raise(("sse.static: cannot serve the folder '%s': %s"):format(path, message))
  end
  return path
end

--- Tells the log of a file that is not there now: it may come later, but more likely its name is misspelt.
function M.warn_missing(what, folder, name)
  local file, message = core.file_open(absolute(folder), name)
  if file then
    file:close()
  else
    core.log("warn", ("%s%s: cannot read '%s': %s"):format(core.place(), what, name, message))
  end
end

--- Handler for the routes of `patterns`.
---@param prefix string where the files appear, "/" or "/files"
---@param root string folder; relative to the script's own
---@param given sse.static.Options?
---@return fun(req: table): integer, table|string|nil, table?
function M.handler(prefix, root, given)
  local base = base_of(prefix)
  local folder = resolve(root)
  local checked = options.check("sse.static", given, RULES)
  return function(req)
    local path = req.params.file
    if not path then
      return redirect(req, base)
    elseif not is_plain(path, checked.dotfiles) then
      return not_found()
    end
    local name = (path == "" or path:sub(-1) == "/") and path .. checked.index or path
    local file, size, modified, nanoseconds = core.file_open(folder, name)
    if file then
      local tag = ('"%x-%x-%x"'):format(size, modified, nanoseconds)
      return answer(req, name, { handle = file, size = size, modified = modified, tag = tag }, checked)
    elseif modified == "EISDIR" and name == path then
      return redirect(req, base .. "/" .. path)
    end
    return cannot_open(modified)
  end
end

return M
