-- Random numbers of a property loop: prints the seed, so that a failure can be repeated with SEED=... in the
-- environment.

---@param what string
---@param variant integer? of loops that may begin in the same second and are to differ
return function(what, variant)
  local seed = math.tointeger(tonumber(os.getenv "SEED")) or os.time() + (variant or 0)
  math.randomseed(seed)
  io.write("[", what, " SEED=", seed, "]")
end
