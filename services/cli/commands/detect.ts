import { detectService } from '../../detect/main.js'
import { serviceCommand } from '../service_command.js'

export const detect = serviceCommand(detectService)
